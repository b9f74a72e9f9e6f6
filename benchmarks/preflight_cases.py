"""What preflight says of sets with one fault each, and of sets without: ten seeds and more.

Run with ``python benchmarks/preflight_cases.py [OUT.csv] [SEEDS]`` (default
``preflight_cases.csv``, 10). A row a case is added to the file as it is done; rows that are there
are not done again, so that a run that was stopped goes on. Sets are 50 simulated ribosomes of one
composition, 15 tilts, box 32, SNR 0.3. The faults:

- ``tilts``: tilts of the opposite sign;
- ``inverse``: particle rotations inverted;
- ``micrometres``: the defocus in µm;
- ``mirrored``: images cut where the particle would be with z mirrored: it is 2 z sin t beside the
  middle of its box, and out of the image where that is more than half a box;
- ``good``: none, as WarpTools exports it, and as Warp does.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import torch

from napari_tomodrgn.analysis.preflight import CheckDone, preflight
from napari_tomodrgn.analysis.preflight.hypotheses import flipped_tilts, inverted_poses
from napari_tomodrgn.data.checks import Check, file_checks
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.synthetic import SimulationConfig, simulate
from napari_tomodrgn.synthetic.imaging import Microscope, make_microscope, signal_scale
from napari_tomodrgn.synthetic.scene import ImagePoses, make_scene
from napari_tomodrgn.synthetic.structures import load_structures
from napari_tomodrgn.synthetic.threads import one_core_threads

WARPTOOLS = "warptools/particles_optimisation_set.star"


def settings(seed: int) -> SimulationConfig:
    """The set of a seed."""
    return SimulationConfig(
        particles=50,
        tilts=15,
        box_size_px=32,
        states=1,
        snr=0.3,
        tomograms=2,
        defocus_min_um=2.0,
        defocus_max_um=6.0,
        dose_per_tilt=6.0,
        seed=seed,
    )


def in_micrometres(particles: ParticleSet) -> ParticleSet:
    """The set with its defoci in µm."""
    columns = [f"defocus_{axis}_angstrom" for axis in "uv"]
    return replace(particles, images=particles.images.assign(**(particles.images[columns] / 1e4)))


class Displaced(Microscope):
    """Images cut where the particles would be if z were mirrored about the middle."""

    def signal(self, poses: ImagePoses, particle: int, factor: torch.Tensor) -> torch.Tensor:
        """As it is, further away; nothing where the particle is out of the image."""
        series = self.scene.series[self.scene.crowd.series[particle]]
        z = self.scene.crowd.positions_angstrom[particle, 2] - series.extent_xyz_angstrom[2] / 2
        away = 2 * z * self.scene.scheme.rotations[:, :2, 2] / self.scene.pixel_size_angstrom
        inside = np.abs(away).max(axis=1) < self.config.box_size_px / 2
        moved = replace(poses, shifts_px=poses.shifts_px + away)
        found = super().signal(moved, particle, factor)
        return found * torch.from_numpy(inside.astype(np.float32))[:, None]


def with_mirrored_places(folder: Path, particles: ParticleSet, seed: int) -> ParticleSet:
    """The set with the images of `Displaced` in place of its own."""
    config = settings(seed)
    structures = load_structures(config)
    scene = make_scene(config, len(structures.names), structures.pixel_size_angstrom)
    usual = make_microscope(scene, structures, config)
    with one_core_threads() as pool:
        scale = signal_scale(usual, pool)
    displaced = Displaced(**vars(usual))
    images = [displaced.images(row, scale).warptools for row in range(len(scene))]
    stack = folder / "mirrored.mrcs"
    with mrcfile.new(stack, overwrite=True) as file:
        file.set_data(np.concatenate(images))
    table = particles.images.assign(
        stack=str(stack),
        stack_index=particles.images["particle_id"].cat.codes.astype(np.int64) * config.tilts
        + particles.images["tilt_index"],
    )
    return replace(particles, images=table.astype({"stack": "category"}))


def cases(folder: Path, seed: int) -> Iterator[tuple[str, ParticleSet]]:
    """The sets of a seed, good and bad."""
    for _ in simulate(folder, settings(seed)):
        pass
    particles = read_particles(folder / WARPTOOLS)
    yield "good", particles
    yield "good, warp", read_particles(folder / "warp" / "particles.star")
    yield "tilts", flipped_tilts(particles)
    yield "inverse", inverted_poses(particles)
    yield "micrometres", in_micrometres(particles)
    yield "mirrored", with_mirrored_places(folder, particles, seed)


def told(particles: ParticleSet) -> dict[str, Check]:
    """What the checks say that is not well; the physics only of sets without an error."""
    found = {check.code: check for check in file_checks(particles)}
    if all(check.verdict != "error" for check in found.values()):
        events = preflight(particles)
        found |= {event.check.code: event.check for event in events if isinstance(event, CheckDone)}
    return {code: each for code, each in found.items() if each.verdict in ("warning", "error")}


WORDS = {
    "tilts": "tilts of the opposite sign",
    "inverse": "inverse poses",
    "mirrored": "not where the images were cut",
}


def outcome(case: str, checks: dict[str, Check]) -> tuple[bool, bool]:
    """Whether the fault is named (or nothing is), and whether its cause is."""
    if case.startswith("good"):
        return not checks, not checks
    if case == "micrometres":
        named = "defocus-in-micrometres" in checks
        return named, named
    message = checks["geometry"].message if "geometry" in checks else ""
    named = WORDS[case] in message.split(" against")[0]
    return named, named and (case != "mirrored" or "z is mirrored" in message)


def main() -> None:
    """Go through the cases that are not in the file yet, then count."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "preflight_cases.csv")
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    torch.set_num_threads(1)
    if not out.exists():
        out.write_text("seed,case,named,cause,codes,message\n")
    rows = list(csv.DictReader(out.open()))
    done = {(int(row["seed"]), row["case"]) for row in rows}
    for seed in range(seeds):
        if sum(one == seed for one, _ in done) == 6:
            continue
        with tempfile.TemporaryDirectory() as folder:
            for case, particles in cases(Path(folder) / "set", seed):
                if (seed, case) in done:
                    continue
                checks = told(particles)
                named, cause = outcome(case, checks)
                message = checks["geometry"].message if "geometry" in checks else ""
                row = [seed, case, int(named), int(cause), " ".join(checks), message]
                with out.open("a", newline="") as file:
                    csv.writer(file).writerow(row)
                print(*row[:5], flush=True)
    rows = list(csv.DictReader(out.open()))
    for case in dict.fromkeys(row["case"] for row in rows):
        mine = [row for row in rows if row["case"] == case]
        named, cause = (sum(int(row[key]) for row in mine) for key in ("named", "cause"))
        print(f"{case:12s} {named} of {len(mine)} named, cause {cause}")


if __name__ == "__main__":
    main()
