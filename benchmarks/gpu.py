"""Everything that only a graphics card can answer, in one unattended run of at most six minutes.

Run::

    python benchmarks/gpu.py --out FOLDER [--device cuda] [--minutes 6] [--only step,embed]

Needs Python 3.11, torch 2.6, numpy, scipy, pandas, pyarrow, scikit-learn, safetensors and tqdm, as
machines with a card have them, and 3 MB of wheels: pydantic, pydantic-core, annotated-types,
typing-inspection, typing-extensions, mrcfile, starfile; pytest and filelock for the tests. Neither
napari nor Qt nor umap is imported. The source tree need not be installed: ``PYTHONPATH=src``.

Parts come in order of worth; each figure is appended to ``FOLDER/figures.jsonl`` as it comes, so
that what was measured stays if the machine is taken away. A part is left out, and that is said,
once the time is up. Sets are made on the card: noise for what only takes time, simulated particles
(`made_sets`) for what is trained. Where fewer particles fit than the 22,291 of a real project,
times are extrapolated to that number, in proportion, and the row says ``extrapolated``; reading of
image files is in none of them. Where no card is, everything runs on the CPU at a tenth of the size,
which says that it runs, not how fast a card is.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from made_sets import MadeSet, in_place_of_files, make_set, quality, tilt_data
from million import particle_set
from torch import Tensor

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.fourier_images import FourierImages
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.decoding.volume_decoder import VolumeDecoder
from napari_tomodrgn.learn.inference.held_out import EarlyStopping, mean_difference
from napari_tomodrgn.learn.linear.engine import LinearEngine
from napari_tomodrgn.learn.network.model import Vae
from napari_tomodrgn.learn.reconstruction.backprojection import back_project
from napari_tomodrgn.learn.run.checkpoint import Position
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.epoch_files import FIRST_LOOK
from napari_tomodrgn.learn.run.run_info import device_name
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.device import pick_device
from napari_tomodrgn.learn.runtime.events import EpochDone, Losses, Notice
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.learn.training.trainer import Trainer, make_optimiser
from napari_tomodrgn.learn.training.whole_set import embed_all, held_out_errors
from napari_tomodrgn.physics.lattice import half_plane
from napari_tomodrgn.synthetic import SimulationConfig

PARTICLES, TILTS, BOX = 22_291, 41, 96
Row = dict[str, Any]


@dataclass
class Bench:
    """What all parts share, and where their figures go."""

    device: torch.device
    out: Path
    deadline: float
    scale: float
    rows: list[Row] = field(default_factory=list)

    def write(self, part: str, **figures: Any) -> None:
        """Append a row, at once."""
        row = {"part": part, **figures}
        self.rows.append(row)
        with open(self.out / "figures.jsonl", "a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)

    @property
    def left(self) -> float:
        """Seconds until the run has to be over."""
        return self.deadline - time.perf_counter()

    def wait(self) -> None:
        """Wait for everything that was asked of the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def seconds(self, work: Callable[[], object], limit: float = 3.0) -> float:
        """Median wall time of a call, the device included, of up to 20 in so many seconds."""
        work()
        times: list[float] = []
        while len(times) < 3 or (len(times) < 20 and sum(times) < limit):
            self.wait()
            started = time.perf_counter()
            work()
            self.wait()
            times.append(time.perf_counter() - started)
        return statistics.median(times)

    def peak_gb(self) -> float | None:
        """Largest memory of the card since it was last asked."""
        if self.device.type != "cuda":
            return None
        peak = torch.cuda.max_memory_allocated(self.device) / 1e9
        torch.cuda.reset_peak_memory_stats(self.device)
        return round(peak, 2)


def tests(bench: Bench) -> None:
    """The tests of every device, so that the figures after them are of what is right."""
    if bench.device.type == "cpu":
        bench.write("tests", skipped="no card; the ordinary suite has them")
        return
    files = ["tests/learn/training/test_devices.py", "tests/learn/training/step/test_step.py"]
    options = ["-q", "-k", "cuda or card or memory or step", "-p", "no:cacheprovider"]
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *files, *options],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        timeout=max(bench.left - 200, 60),
        check=False,
    )
    (bench.out / "tests.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    last = (done.stdout.strip() or "no output").splitlines()[-1]
    seconds = round(time.perf_counter() - started, 1)
    bench.write("tests", exit=done.returncode, summary=last, seconds=seconds)


def made_up(bench: Bench, particles: int, box: int) -> TiltData:
    """Noise in the place of images, on the device."""
    shape = (particles * TILTS, len(half_plane(box)))
    samples = torch.randn(shape, dtype=torch.complex64, device=bench.device)
    return tilt_data(particle_set(particles, TILTS, box), FourierImages(samples, 1.0), RunConfig())


def fitting(bench: Bench, box: int) -> int:
    """How many particles of the real project fit into half of the card's memory."""
    if bench.device.type != "cuda":
        return max(int(PARTICLES * bench.scale / 100), 16)
    free, _ = torch.cuda.mem_get_info(bench.device)
    return min(PARTICLES, int(free * 0.5 / (TILTS * len(half_plane(box)) * 8)))


def trainer_of(bench: Bench, data: TiltData, **settings: object) -> Trainer:
    """A trainer of the default network on these data."""
    config = RunConfig.model_validate({"train": {"device": bench.device.type, **settings}})
    model = Vae(config.model, data.lattice.box_size_px, len(data.lattice), TILTS).to(bench.device)
    optimiser = make_optimiser(model, config, bench.device)
    return Trainer(config, data, model, optimiser, bench.device)


def machine(bench: Bench) -> None:
    """What the card can do at best: products in three precisions, copies."""
    size = 8192 if bench.device.type == "cuda" else 1024
    found = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        one = torch.randn((size, size), device=bench.device).to(dtype)
        took = bench.seconds(lambda one=one: one @ one, 1.0)  # type: ignore[misc]
        found[f"tflops_{name}"] = round(2 * size**3 / took / 1e12, 2)
    block = torch.empty(1 << (30 if bench.device.type == "cuda" else 26), dtype=torch.uint8)
    block = block.to(bench.device)
    copied = bench.seconds(block.clone, 1.0)
    bench.write("machine", **found, copy_gb_per_s=round(2 * block.numel() / copied / 1e9, 1))


def steps(bench: Bench) -> None:
    """A training step at several sizes: wall time, time on the host, floor of its products."""
    box = BOX if bench.scale == 1 else 32
    data = made_up(bench, min(fitting(bench, box), 2000), box)
    for batch, points in ((4, 512), (4, 2048), (16, 2048), (64, 2048), (256, 2048)):
        if bench.left < 30 or batch > data.particle_count:
            return
        trainer = trainer_of(bench, data, batch_size=batch, points_per_particle=points)
        order, position = trainer.order(1), Position(epoch=1, step=0)

        def step(
            trainer: Trainer = trainer, position: Position = position, order: Tensor = order
        ) -> None:
            trainer.step(position, order)

        for _ in range(5):  # the first ones are not recorded yet
            step()
        took = bench.seconds(step, 2.0)
        count = 20
        bench.wait()
        started = time.perf_counter()
        for _ in range(count):
            step()
        host = (time.perf_counter() - started) / count
        bench.wait()
        flops = _flops(trainer, batch, points)
        epoch = took * PARTICLES / batch
        bench.write(
            "step",
            batch=batch,
            points=points,
            box=box,
            milliseconds=round(took * 1e3, 3),
            host_milliseconds=round(host * 1e3, 3),
            gflops_per_s=round(flops / took / 1e9, 1),
            epoch_s_extrapolated=round(epoch, 1),
            recorded=trainer.recorded_step is not None and trainer.recorded_step.is_recorded,
            said=" ".join(trainer.chunk_sizes.messages),
            peak_gb=bench.peak_gb(),
        )


def _flops(trainer: Trainer, batch: int, points: int) -> float:
    """Of the products of a step, forward and backward."""
    model, images = trainer.model, 0.9 * batch * TILTS
    rows = [(images, model.encoder.image), (batch, model.encoder.particle)]
    rows += [(batch * points, model.decoder.network)]
    weights = [(n, sum(p.numel() for p in net.parameters())) for n, net in rows]
    return float(sum(6 * n * count for n, count in weights))


def profile(bench: Bench) -> None:
    """Share of a step in which the card is idle, and the kernels that take longest."""
    if bench.device.type != "cuda":
        bench.write("profile", skipped="no card")
        return
    data = made_up(bench, 256, BOX)
    trainer = trainer_of(bench, data, batch_size=4, points_per_particle=2048)
    order, position = trainer.order(1), Position(epoch=1, step=0)
    for _ in range(6):
        trainer.step(position, order)
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    bench.wait()
    with torch.profiler.profile(activities=activities) as found:
        started = time.perf_counter()
        for _ in range(10):
            trainer.step(position, order)
        bench.wait()
        wall = time.perf_counter() - started
    events = found.key_averages()
    busy = sum(event.self_device_time_total for event in events) * 1e-6
    table = events.table(sort_by="self_device_time_total", row_limit=25)
    (bench.out / "profile.txt").write_text(table, encoding="utf-8")
    kernels = sum(event.count for event in events if event.self_device_time_total > 0)
    bench.write("profile", idle_share=round(1 - busy / wall, 3), kernels_a_step=round(kernels / 10))


def whole_set(bench: Bench) -> None:
    """Embedding, mean map, held-out losses of the real project's size."""
    box = BOX if bench.scale == 1 else 32
    particles = fitting(bench, box)
    data = made_up(bench, particles, box)
    trainer = trainer_of(bench, data)
    rows = torch.arange(particles)

    def timed(name: str, work: Callable[[], object]) -> None:
        if bench.left < 20:
            bench.write(name, skipped="no time left")
            return
        bench.wait()
        started = time.perf_counter()
        work()
        bench.wait()
        took = time.perf_counter() - started
        figures: Row = {"particles": particles, "box": box, "seconds": round(took, 2)}
        if particles < PARTICLES:
            figures["seconds_extrapolated"] = round(took * PARTICLES / particles, 1)
        bench.write(name, **figures, peak_gb=bench.peak_gb())

    timed("embedding", lambda: embed_all(trainer))
    timed("held-out losses", lambda: held_out_errors(trainer))
    half = rows[: particles // 2]
    timed("half of the mean map", lambda: list(back_project(data, half, bench.device)))


def first_look(bench: Bench) -> None:
    """The linear engine on some particles, as the autoencoder starts from it."""
    box = BOX if bench.scale == 1 else 32
    data = made_up(bench, int(max(1000 * bench.scale, 64)), box)
    started = time.perf_counter()
    engine = LinearEngine.of(data, RunConfig(), RunContext())
    radii = engine.radii()[:1]
    for fit in engine.fits(radii):
        bench.wait()
        bench.write(
            "first look",
            particles=data.particle_count,
            radius_px=radii[0],
            components=fit.model.components,
            seconds=round(time.perf_counter() - started, 2),
            peak_gb=bench.peak_gb(),
        )


def decoding(bench: Bench) -> None:
    """A map at several boxes: the first one, and the next ones."""
    boxes = (64, 96, 128, 192) if bench.scale == 1 else (32, 48)
    for box in boxes:
        if bench.left < 15:
            return
        model = Vae(RunConfig().model, box, 8, 1).to(bench.device).eval().requires_grad_(False)
        decoder = VolumeDecoder(
            model.decoder,
            box_size_px=box,
            pixel_size_angstrom=3.0,
            latent_dim=RunConfig().model.latent_dim,
            device=bench.device,
        )
        z = np.zeros(RunConfig().model.latent_dim, np.float32)
        started = time.perf_counter()
        decoder.decode(z)
        first = time.perf_counter() - started
        single = bench.seconds(lambda decoder=decoder, z=z: decoder.decode(z), 2.0)  # type: ignore[misc]
        bench.write(
            "decode",
            box=box,
            first_ms=round(first * 1e3, 1),
            milliseconds=round(single * 1e3, 1),
            peak_gb=bench.peak_gb(),
        )


def timed_training(bench: Bench, made: MadeSet, settings: dict[str, Any], out: Path) -> Row:
    """Train in a thread, as in the window; when what was there, and how good the latents are."""
    config = RunConfig.model_validate(settings)
    late, started, when = bench.left - 10, time.perf_counter(), dict[str, float]()
    said, losses = list[str](), list[Losses]()

    def passed() -> float:
        return round(time.perf_counter() - started, 2)

    def work() -> None:
        for event in train(made.particles, config, out, stop=lambda: passed() > late):
            if isinstance(event, Notice):
                said.append(event.text)
                if event.text.startswith("First look"):
                    when.setdefault("first_look_s", passed())
            if isinstance(event, EpochDone):
                when.setdefault("first_epoch_s", passed())
                when["last_epoch_s"] = passed()
                losses.append(event.losses)
        when["end_s"] = passed()

    with in_place_of_files(made):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    found: Row = {"particles": len(made.particles), "epochs": len(losses), **when}
    run = Run.open(out)
    if losses:
        latents = run.latents().filter(like="mu_").to_numpy()
        found |= {"held_out": losses[-1].held_out, **quality(made, latents)}
    if run.has_first_look:
        linear = run.latents(FIRST_LOOK).filter(like="mu_").to_numpy()
        found |= {f"linear {name}": value for name, value in quality(made, linear).items()}
    return found | {"said": said, "peak_gb": bench.peak_gb()}


def made_set(bench: Bench, folder: Path, particles: int, box: int, tomograms: int) -> MadeSet:
    """Simulate five states on the device."""
    started = time.perf_counter()
    size = {"particles": particles, "box_size_px": box, "tomograms": tomograms}
    made = make_set(
        SimulationConfig(**size, tilts=TILTS, states=5, snr=0.05, seed=7, export="warptools"),
        folder,
        bench.device,
    )
    bench.wait()
    seconds = round(time.perf_counter() - started, 2)
    bench.write("simulated", **size, seconds=seconds, peak_gb=bench.peak_gb())
    return made


def acceptance(bench: Bench) -> None:
    """6,000 particles of five states, box 48: by default, then with other batch sizes."""
    with tempfile.TemporaryDirectory() as folder:
        made = by_default(bench, "acceptance", Path(folder), 6000, 48, 20)
        _batches(bench, made, Path(folder))


def by_default(
    bench: Bench, part: str, folder: Path, particles: int, box: int, tomograms: int
) -> MadeSet:
    """Train on a set made on the device with default settings; without a card, a small one."""
    settings: dict[str, Any] = {"device": bench.device.type}
    if bench.scale < 1:
        particles, box, tomograms = 120, 24, 2
        settings["epochs"] = 1
    made = made_set(bench, folder / "set", particles, box, tomograms)
    found = timed_training(bench, made, {"train": settings}, folder / "run")
    bench.write(part, box=box, **found)
    return made


def _batches(bench: Bench, made: MadeSet, folder: Path) -> None:
    """The same set after equal passes with larger batches; rates grow with the square root."""
    errors: dict[int, Tensor] = {}
    for batch in (4, 16, 64, 256):
        if bench.left < 45:
            bench.write("batch", batch=batch, skipped="no time left")
            return
        chosen = {"batch_size": batch, "learning_rate": 1e-3 * (batch / 4) ** 0.5}
        chosen |= {"epochs": 8 if bench.scale == 1 else 1, "patience": 0, "refine": False}
        settings = {"train": {"device": bench.device.type, **chosen}}
        out = folder / f"batch-{batch}"
        found = timed_training(bench, made, settings, out)
        kept = EarlyStopping.read(Run.open(out).early_stopping_file).errors
        errors[batch] = kept
        mean, error = mean_difference(kept, errors[4])
        bench.write("batch", batch=batch, **found, worse_than_4=mean, standard_error=error)


def project(bench: Bench) -> None:
    """A whole project by default: 22,291 particles, 41 tilts, box 96, five states."""
    with tempfile.TemporaryDirectory() as folder:
        by_default(bench, "project", Path(folder), fitting(bench, BOX), BOX, 100)


PARTS: tuple[tuple[str, Callable[[Bench], None], float], ...] = (
    ("machine", machine, 5),
    ("tests", tests, 60),
    ("step", steps, 30),
    ("profile", profile, 15),
    ("decode", decoding, 15),
    ("whole set", whole_set, 30),
    ("first look", first_look, 20),
    ("acceptance", acceptance, 60),
    ("project", project, 90),
)


def main() -> None:
    """Measure part by part; a part that fails is written down and does not end the run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--only", default="", help="parts, separated by commas")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    device = pick_device(options.device)
    deadline = time.perf_counter() + 60 * options.minutes - 5
    bench = Bench(device, options.out, deadline, 0.1 if device.type == "cpu" else 1.0)
    versions = {"torch": torch.__version__, "python": platform.python_version()}
    bench.write("versions", device=device_name(device), **versions)
    chosen = {name.strip() for name in options.only.split(",") if name.strip()}
    for name, work, needed in PARTS:
        if chosen and name not in chosen:
            continue
        if bench.left < needed:
            bench.write(name, skipped="no time left")
            continue
        try:
            work(bench)
        except Exception as error:  # noqa: BLE001 - the next part may still say something
            bench.write(name, failed=f"{type(error).__name__}: {str(error)[:300]}")
        if device.type == "cuda":
            torch.cuda.empty_cache()
    loaded = {name for name, module in sys.modules.items() if module is not None}
    blocked = sorted({"napari", "qtpy", "PyQt6", "PySide6", "umap"} & loaded)
    bench.write("end", seconds_left=round(bench.left, 1), imported_in_vain=blocked)
    sys.exit(bool(blocked) or any("failed" in row for row in bench.rows))


if __name__ == "__main__":
    main()
