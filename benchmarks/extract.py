"""Cutting tilt images: time, memory, resolution, and what the data decide.

Run with ``python benchmarks/extract.py [ROW …] [--keep DIR]``; rows are states, speed, memory,
resolution, decide, origin, nothing. Each line is printed as it is done; simulated sets, and the
seeds of states, origin and nothing, are kept in DIR (default: a folder beside the system's
temporary files) and not made twice.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

import napari_tomodrgn.extract.series as series_module
from napari_tomodrgn.analysis.fsc import fsc, fsc_sphere
from napari_tomodrgn.analysis.reconstruct import reconstruct
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.cut import CropPlan, cut_boxes, mean_and_sd, plan_crops
from napari_tomodrgn.extract.geometry import TiltGeometry, mirrored_z, tilt_rotations
from napari_tomodrgn.extract.inputs import read_extraction
from napari_tomodrgn.extract.output import PlacedSeries
from napari_tomodrgn.extract.proof import Decided, decide
from napari_tomodrgn.extract.run import extract
from napari_tomodrgn.extract.series import Conventions
from napari_tomodrgn.extract.settings import ExtractConfig
from napari_tomodrgn.extract.tomogram import write_tomogram
from napari_tomodrgn.geometry import matrix_to_euler, random_rotations
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.synthetic import SimulationConfig, simulate
from napari_tomodrgn.synthetic.stacks import StackWriter
from napari_tomodrgn.synthetic.tilt_series.alignments import write_imod
from napari_tomodrgn.synthetic.tilt_series.contrast import write_ctffind, write_mdoc
from napari_tomodrgn.synthetic.tilt_series.lists import LISTS
from napari_tomodrgn.synthetic.tilt_series.truth import TrueSeries

PIXEL = 3.0
SEEDS = 10


def noise_series(folder: Path, size: int, particles: int) -> ExtractConfig:
    """41 tilt images of noise, and particles spread over them."""
    rng = np.random.default_rng(0)
    tilt = np.linspace(-60, 60, 41)
    volume = (size, size, 300)
    turned = tilt_rotations(85.0, tilt, 0.0) @ (np.array(volume) / 2)
    series = TrueSeries(
        name="TS_001",
        axis_deg=np.full(41, 85.0),
        tilt_deg=tilt,
        corner_px=size / 2 - turned[:, :2] + rng.normal(scale=3, size=(41, 2)),
        image_size_px=(size, size),
        volume_size_px=volume,
        pixel_size_angstrom=PIXEL,
        order=rng.permutation(41),
        dose_per_tilt=3.0,
        defocus_u_angstrom=np.full(41, 3e4),
        defocus_v_angstrom=np.full(41, 3e4),
        defocus_angle_deg=np.zeros(41),
    )
    write_imod(folder, series)
    write_ctffind(folder, series)
    write_mdoc(folder, series)
    stack = folder / "TS_001.mrc"
    if not stack.exists():
        image = rng.standard_normal((size, size), dtype=np.float32)
        kind = "float32" if size < 2048 else "float16"
        with StackWriter(stack, (41, size, size), PIXEL, kind) as writer:
            writer.as_image_stack()
            for _ in range(41):
                writer.append(image[None])
    margin = size * 0.2
    places = rng.uniform(margin, size - margin, size=(particles, 3))
    places[:, 2] = rng.uniform(50, 250, size=particles)
    angles = matrix_to_euler(random_rotations(particles, rng))
    names = ["x", "y", "z", "rot", "tilt", "psi"]
    table = pd.DataFrame(np.hstack([places, angles]), columns=names)
    table.insert(0, "tomogram", "TS_001")
    table.to_csv(folder / "picks.csv", index=False)
    return ExtractConfig(
        particles=folder / "picks.csv",
        tilt_series=folder,
        alignment=folder,
        list_pixel_size_angstrom=PIXEL,
        z="keep",
        pose="keep",
        origin="0",
        hand="1",
    )


def speed(folder: Path) -> Iterator[str]:
    """500 particles × 41 tilts × 64² out of 1024²: cutting over reading and transforming alone.

    What comes on top is normalising, shifting to parts of a pixel, trimming. CPU seconds.
    """
    config = noise_series(folder, 1024, 500)
    for binning in (1, 2):
        settings = config.model_copy(update={"pixel_size_target_angstrom": PIXEL * binning})
        placed = read_extraction(settings).placed(Conventions(0, False, False, 1.0))[0]
        plan = plan_crops(PIXEL, 64, PIXEL * binning)
        images = int(placed.visible.sum())
        floor = fastest(lambda placed=placed, plan=plan: read_and_transform(placed, plan))
        cutting = fastest(lambda placed=placed, plan=plan: cut_all(placed, plan))
        whole = fastest(lambda placed=placed, plan=plan: cut_and_write(placed, plan, folder))
        yield (
            f"speed: {len(placed)} × 41 × 64², bin {binning}: {images} images cut in "
            f"{cutting:.2f} s, {whole:.2f} s with writing; reading + FFT {floor:.2f} s; "
            f"ratio {cutting / floor:.2f}"
        )


def fastest(work: Callable[[], object]) -> float:
    """CPU seconds of the fastest of five."""
    takes = []
    for _ in range(5):
        began = time.process_time()
        work()
        takes.append(time.process_time() - began)
    return min(takes)


def read_and_transform(placed: PlacedSeries, plan: CropPlan) -> None:
    """The least: read each image, take boxes at whole pixels, transform them there and back."""
    for tilt in range(41):
        image = placed.series.stack.image(tilt)
        corners = np.rint(placed.xy_px[tilt, placed.visible[tilt]]).astype(int) - plan.raw_px // 2
        for part in np.array_split(corners, max(1, len(corners) * plan.raw_px**2 >> 20)):
            boxes = [image[y : y + plan.raw_px, x : x + plan.raw_px] for x, y in part.tolist()]
            spectrum = torch.fft.rfft2(torch.from_numpy(np.stack(boxes)))
            small = spectrum[:, : plan.padded_px, : plan.padded_px // 2 + 1]
            torch.fft.irfft2(small, s=(plan.padded_px, plan.padded_px))


def cut_all(placed: PlacedSeries, plan: CropPlan) -> None:
    """Everything but writing."""
    for tilt in range(41):
        image = placed.series.stack.image(tilt)
        mean, sd = mean_and_sd(image)
        boxes = cut_boxes(image, placed.xy_px[tilt, placed.visible[tilt]], plan)
        boxes -= np.float32(mean)
        boxes *= np.float32(1 / sd)


def cut_and_write(placed: PlacedSeries, plan: CropPlan, folder: Path) -> None:
    """A tomogram as `extract` writes it."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        for _ in write_tomogram(Path(out), placed, plan, "float32"):
            pass


_PEAK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from extract import noise_series
from napari_tomodrgn.extract.run import extract
for _ in extract(noise_series(Path(sys.argv[1]), int(sys.argv[2]), 500), Path(sys.argv[1]) / "out"):
    pass
# Not ru_maxrss: that of the parent counts in it.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) / 2**20)
"""


def memory(folder: Path) -> Iterator[str]:
    """Peak of a whole process that extracts 500 particles, of 1024² and of 4096² images."""
    here = str(Path(__file__).resolve().parent)
    for size in (1024, 4096):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            noise_series(Path(name), size, 500)
            words = [sys.executable, "-c", _PEAK, name, str(size), here]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
        yield f"memory: 500 × 41 × 64² of {size}² images: peak {float(done.stdout):.2f} GB"


def simulated(folder: Path, seed: int = 0, snr: float = 1.0) -> Path:
    """100 particles at 6 Å/px with whole tilt images."""
    out = folder / f"seed_{seed}_snr_{snr:g}"
    if not (out / "tilt_series" / "lists" / "aretomo" / "TS_001.csv").exists():
        config = SimulationConfig(
            particles=100, states=1, tomograms=1, snr=snr, seed=seed, tilt_series=True
        )
        for _ in simulate(out, config):
            pass
    return out


def settings(root: Path, name: str = "stopgap.star", **more: object) -> ExtractConfig:
    """By IMOD's alignment; everything for the data to decide but what is given."""
    folder = root / "tilt_series"
    return ExtractConfig.model_validate(
        {
            "particles": folder / "lists" / "imod" / name,
            "tilt_series": folder / "stacks",
            "alignment": folder / "alignments" / "imod",
            "ctf": folder / "ctf" / "ctffind",
            "dose": folder / "dose" / "mdoc",
            "tomograms": root / "tomograms",
            **more,
        }
    )


def resolution(folder: Path) -> Iterator[str]:
    """Half maps of 100 particles at 6 Å/px and in bin 2, as cut and half a pixel beside."""
    root = simulated(folder)
    truth = read_volume(next((root / "truth_maps").glob("*.mrc")))
    given = {"z": "keep", "pose": "keep", "origin": "1", "hand": "1"}
    reader = series_module.read_alignment
    for off, target in ((0.0, None), (0.5, None), (0.0, 12.0)):

        def beside(*given: object, off: float = off, **named: object) -> TiltGeometry:
            found = reader(*given, **named)
            return replace(found, middle_px=found.middle_px + off)

        series_module.read_alignment = beside
        box = 64 if target is None else 32
        config = settings(root, **given, box_px=box, pixel_size_target_angstrom=target)
        with tempfile.TemporaryDirectory(dir=folder) as name:
            list(extract(config, Path(name) / "out"))
            found = reconstruct(read_particles(Path(name) / "out" / "optimisation_set.star"))
        series_module.read_alignment = reader
        words = f"resolution: {target or 6.0:g} Å/px, {off:g} px beside: half maps agree to "
        words += f"{found.resolution_angstrom:.1f} Å (Nyquist {2 * (target or 6):g})"
        if target is None:
            curve = fsc(found.map, truth, fsc_sphere(box))
            shell = round(64 * 6.0 / 16.0)
            words += f", FSC to the truth at 16 Å {curve.correlation[shell]:.2f}"
        yield words


def run_decide(config: ExtractConfig, planted: Conventions | None = None) -> Decided:
    """What the data decide, of a list in which something may be the wrong way round."""
    extraction = read_extraction(config)
    if planted is not None:
        extraction = spoilt(extraction, planted)
    steps = decide(extraction)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            found: Decided = done.value
            return found


def spoilt(extraction, planted: Conventions):  # type: ignore[no-untyped-def]
    """The same extraction of a list whose z, poses or origin are as planted."""
    particles, one = extraction.particles, extraction.series[0]
    truth = Conventions(1, False, False, 1.0)
    centred, rotations = one.places(particles, truth)
    if planted.mirror:
        centred, rotations = mirrored_z(centred, rotations)
    if planted.inverse:
        rotations = rotations.transpose(0, 2, 1)
    where = one.frame.to_voxels(centred, planted.origin)
    changed = replace(particles, coordinates=where, rotations=rotations, origin=None)
    contrast = replace(one.contrast, hand=None)
    return replace(extraction, particles=changed, series=(replace(one, contrast=contrast),))


def decide_row(folder: Path) -> Iterator[str]:
    """z × pose, each planted in turn."""
    root = simulated(folder, snr=0.1)
    config = settings(root, origin="1", hand="1")
    for mirror in (False, True):
        for inverse in (False, True):
            planted = Conventions(1, mirror, inverse, 1.0)
            found = run_decide(config, planted)
            figures = {k: round(v, 1) for k, v in found.figures.items() if ": z" not in k}
            right = (found.conventions.mirror, found.conventions.inverse) == (mirror, inverse)
            yield f"decide: mirror {mirror}, inverse {inverse}: right {right}, {figures}"


def by_seed(folder: Path, row: str, count: int, one: Callable[[Path, int], str]) -> Iterator[str]:
    """A row of so many seeds; those that DIR remembers are not asked again."""
    kept = folder / f"{row}.txt"
    known = kept.read_text().splitlines() if kept.exists() else []
    for number in range(count):
        head = f"{row}: seed {number}:"
        line = next((line for line in known if line.startswith(head)), None)
        if line is None:
            line = f"{head} {one(folder, number)}"
            with kept.open("a") as stream:
                stream.write(line + "\n")
        yield line


def origin(folder: Path) -> Iterator[str]:
    """Origin and hand of ten sets of 100 particles at 6 Å/px; each planted one way or the other."""
    right = 0
    for line in by_seed(folder, "origin", SEEDS, origin_of_seed):
        right += "right True" in line
        yield line
    yield f"origin: {right} of {SEEDS} right"


def origin_of_seed(folder: Path, number: int) -> str:
    """Whether what was planted in one set is found."""
    root = simulated(folder, seed=number, snr=0.1)
    planted = Conventions(number % 2, False, False, 1.0)
    config = settings(root, z="keep", pose="keep", origin="auto", hand="auto")
    try:
        found = run_decide(config, planted)
    except BadInputError as error:
        return f"undecided ({error})"
    good = (found.conventions.origin, found.conventions.hand) == (number % 2, 1.0)
    figures = {name: round(value, 1) for name, value in found.figures.items()}
    return f"right {good}, {figures}"


def nothing(folder: Path) -> Iterator[str]:
    """No signal: nothing may be decided."""
    wrong = 0
    for line in by_seed(folder, "nothing", SEEDS, nothing_of_seed):
        wrong += "WRONGLY" in line
        yield line
    yield f"nothing: {wrong} of {SEEDS} wrongly decided"


def nothing_of_seed(folder: Path, number: int) -> str:
    """What is said of a set without signal."""
    root = simulated(folder, seed=number, snr=1e-5)
    try:
        found = run_decide(settings(root), Conventions(1, False, False, 1.0))
    except BadInputError as error:
        return f"{error.code}: {error.message[error.message.index('neither') :]}"
    return f"WRONGLY decided {found.conventions}, {found.figures}"


def states(folder: Path) -> Iterator[str]:
    """From each list, of a seed of its own, to two states told apart: extract, train, cluster."""
    yield from by_seed(folder, "states", len(LISTS), states_of_seed)


def states_of_seed(folder: Path, number: int) -> str:
    """How well the linear engine tells two states apart; nothing of the list is said beforehand."""
    name = list(LISTS)[number]
    with tempfile.TemporaryDirectory(dir=folder) as place:
        root = Path(place) / "set"
        config = SimulationConfig(
            particles=120,
            tilts=21,
            box_size_px=32,
            states=2,
            tomograms=1,
            snr=0.3,
            seed=number,
            tilt_series=True,
        )
        for _ in simulate(root, config):
            pass
        hands = root / "tilt_series" / "ctf" / "aretomo"  # which say the hand
        out = Path(place) / "out"
        list(extract(settings(root, name, box_px=32, ctf=hands), out))
        particles = read_particles(out / "optimisation_set.star")
        run = Path(place) / "run"
        for _ in train(particles, RunConfig(method="linear"), run):
            pass
        table = Run.open(run).latents()
        truth = pd.read_csv(root / "truth.csv")["state"].to_numpy()
    found = KMeans(n_clusters=2, n_init=10, random_state=0).fit_predict(
        table.filter(like="mu_").to_numpy()
    )
    # The last number of a name counts particles, from 1.
    rows = [int(re.findall(r"\d+", str(one))[-1]) - 1 for one in table.index]
    agreement = adjusted_rand_score(truth[rows], found)
    return f"{name}: ARI {agreement:.3f} of {len(rows)} particles"


ROWS = {
    "states": states,
    "speed": speed,
    "memory": memory,
    "resolution": resolution,
    "decide": decide_row,
    "origin": origin,
    "nothing": nothing,
}


def main() -> int:
    """Print the rows that are named, all if none is."""
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []])
    default = Path(tempfile.gettempdir()) / f"extract-benchmark-{os.getuid()}"
    parser.add_argument("--keep", type=Path, default=default)
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name in options.rows or ROWS:
        with tempfile.TemporaryDirectory(dir=options.keep) as scratch:
            place = Path(scratch) if name in ("speed", "memory") else options.keep
            for line in ROWS[name](place):
                print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
