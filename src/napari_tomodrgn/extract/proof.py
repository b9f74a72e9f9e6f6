"""What no file settles, decided on the data before anything large is cut.

First, at coarse pixels and on at most 60 particles: does z of the list run as in the alignment, and
do poses go reference → specimen? Each answer is tried; its figure is how much better its poses
foresee images than poses shuffled between particles. Right ones reach some forty times what wrong
ones do, so a winner needs five times the next, and a paired z of 5.

Then, at the pixels of the extraction: from where voxels count, and the sign of the depth in the
defocus, each by the paired difference over particles, z ≥ 5. What stays undecided is what the
format or a file says; where nothing does, it is asked.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from napari_tomodrgn.analysis.preflight.cross_validation import (
    half_set_agreement,
    paired_z,
    preference,
)
from napari_tomodrgn.analysis.preflight.hypotheses import flipped_heights, shuffled_poses
from napari_tomodrgn.config import DataConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.cut import CropPlan, plan_crops
from napari_tomodrgn.extract.events import ExtractEvent, ExtractNotice
from napari_tomodrgn.extract.inputs import Extraction
from napari_tomodrgn.extract.output import PlacedSeries, write_extraction_stars
from napari_tomodrgn.extract.series import Conventions
from napari_tomodrgn.extract.tomogram import place, write_tomogram
from napari_tomodrgn.learn.reconstruction.subsample import Sample, read_sample
from napari_tomodrgn.learn.runtime.steps import run_to_end

# Particles and boxes where z and poses are asked (coarse), and origin and hand (fine).
_COARSE_PARTICLES, _FINE_PARTICLES = 60, 150
_COARSE_BOX_PX, _FINE_BOX_PX = 32, 96
_TIMES_BETTER = 5.0  # than the next; right answers reach some forty times what wrong ones do
_SURE_Z = 5.0  # paired z over particles from which an answer counts
_FEWEST_PARTICLES = 12  # with fewer, nothing is tried
_MOST_IMAGES = 6200  # of the fine sample; of more than 41 tilts, fewer particles are taken


@dataclass(frozen=True)
class Decided:
    """The conventions, and for each where it is from and the figures."""

    conventions: Conventions
    reasons: dict[str, str]
    figures: dict[str, float] = field(default_factory=dict)

    def told(self) -> dict[str, object]:
        """As `extraction.json` has it."""
        values = {
            "origin": self.conventions.origin,
            "z": "mirror" if self.conventions.mirror else "keep",
            "pose": "inverse" if self.conventions.inverse else "keep",
            "hand": int(self.conventions.hand),
        }
        return {
            name: {"value": value, "from": self.reasons[name]} for name, value in values.items()
        } | {"figures": {name: round(value, 3) for name, value in self.figures.items()}}


@dataclass
class _Stated:
    """What is said of each convention: by the user, or by formats and files; None where nothing."""

    user: dict[str, float | None]
    files: dict[str, float | None]

    def open(self, name: str) -> bool:
        """Whether the data are to decide."""
        return self.user[name] is None

    def value(self, name: str, default: float) -> float:
        """What is said, else the default."""
        said = self.files[name] if self.user[name] is None else self.user[name]
        return default if said is None else said


def decide(extraction: Extraction) -> Generator[ExtractEvent, None, Decided]:
    """Settle z, poses, origin and hand.

    Raises
    ------
    BadInputError
        If something is neither said nor shown by the data.
    """
    stated = _stated(extraction)
    found: dict[str, float] = {}
    figures: dict[str, float] = {}
    first = Conventions(
        origin=int(stated.value("origin", 0)),
        mirror=bool(stated.value("mirror", False)),
        inverse=bool(stated.value("inverse", False)),
        hand=float(stated.value("hand", 1.0)),
    )
    enough = sum(len(one.rows) for one in extraction.series) >= _FEWEST_PARTICLES
    if enough and (stated.open("mirror") or stated.open("inverse")):
        yield ExtractNotice("Trying which way z and poses go, on a few particles …")
        found |= _decide_z_and_pose(extraction, first, stated, figures)
    first = _conventions({**vars(first), **found})
    z_is_known = found or not stated.open("mirror")
    open_names = [name for name in ("origin", "hand") if stated.open(name)]
    if not _counts_voxels(extraction):
        open_names = [name for name in open_names if name != "origin"]
        stated.files["origin"] = 0
    if enough and open_names and z_is_known:
        yield ExtractNotice("Trying from where voxels count and the sign of heights …")
        found |= _decide_origin_and_hand(extraction, first, open_names, figures)
    decided = _settled(extraction, stated, found, figures)
    yield from _contradictions(stated, found)
    return decided


def _conventions(values: dict[str, float]) -> Conventions:
    return Conventions(
        int(values["origin"]),
        bool(values["mirror"]),
        bool(values["inverse"]),
        float(values["hand"]),
    )


def _counts_voxels(extraction: Extraction) -> bool:
    return extraction.particles.unit in ("voxels", "series_px")


def _stated(extraction: Extraction) -> _Stated:
    config, particles = extraction.config, extraction.particles
    hands = {one.hand for one in extraction.series}
    own = all(one.alignment in ("relion", "warp") for one in extraction.series)
    user = {
        "origin": None if config.origin == "auto" else int(config.origin),
        "mirror": None if config.z == "auto" else config.z == "mirror",
        "inverse": None if config.pose == "auto" else config.pose == "inverse",
        "hand": None if config.hand == "auto" else float(config.hand),
    }
    files = {
        "origin": particles.origin,
        # A list of RELION's beside RELION's own alignment: one frame.
        "mirror": False if own and particles.unit == "centred_angstrom" else None,
        "inverse": False if particles.pose_proven else None,
        "hand": hands.pop() if len(hands) == 1 else None,
    }
    return _Stated(user, files)


def _decide_z_and_pose(
    extraction: Extraction, first: Conventions, stated: _Stated, figures: dict[str, float]
) -> dict[str, float]:
    """The pair of answers whose poses foresee images best by far, or nothing."""
    mirrors = (False, True) if stated.open("mirror") else (first.mirror,)
    inverses = (False, True) if stated.open("inverse") else (first.inverse,)
    config = extraction.config
    pixel = extraction.plan.pixel_size_angstrom * max(1.0, config.box_px / _COARSE_BOX_PX)
    plan = plan_crops(extraction.series[0].stack.pixel_size_angstrom, _COARSE_BOX_PX, pixel)
    tried: dict[tuple[bool, bool], tuple[float, float]] = {}
    for mirror in mirrors:
        with tempfile.TemporaryDirectory() as folder:
            for inverse in inverses:
                conventions = replace(first, mirror=mirror, inverse=inverse)
                particles = _cut_some(extraction, conventions, plan, Path(folder))
                if particles is not None:
                    tried[mirror, inverse] = _pose_figure(particles)
    for (mirror, inverse), (figure, z) in tried.items():
        name = f"z {'mirror' if mirror else 'keep'}, pose {'inverse' if inverse else 'keep'}"
        figures[name], figures[f"{name}: z"] = figure, z
    return _clear_winner(tried)


def _clear_winner(tried: dict[tuple[bool, bool], tuple[float, float]]) -> dict[str, float]:
    ranked = sorted(tried, key=lambda key: tried[key][0], reverse=True)
    if not ranked:
        return {}
    figure, z = tried[ranked[0]]
    second = tried[ranked[1]][0] if len(ranked) > 1 else 0.0
    if z < _SURE_Z or figure <= _TIMES_BETTER * max(second, 0.0):
        return {}
    return {"mirror": ranked[0][0], "inverse": ranked[0][1]}


def _pose_figure(particles: ParticleSet) -> tuple[float, float]:
    """How much better poses foresee images than shuffled ones, and the paired z.

    The difference, not the ratio: what shuffled poses foresee is near 0, and either sign.
    """
    sample = run_to_end(read_sample(particles, DataConfig()))
    if sample.blank or len(sample.particles) < _FEWEST_PARTICLES // 2:
        return 0.0, 0.0
    shuffled = half_set_agreement(sample.over(shuffled_poses(sample.particles)))
    gained = half_set_agreement(sample).gain() - shuffled.gain()
    return float(gained.mean()), paired_z(gained)


def _cut_some(
    extraction: Extraction,
    conventions: Conventions,
    plan: CropPlan,
    folder: Path,
    most: int = _COARSE_PARTICLES,
) -> ParticleSet | None:
    """Cut a few particles, spread over the list, into a folder and read them."""
    total = sum(len(one.rows) for one in extraction.series)
    chosen = np.unique(np.linspace(0, total - 1, min(most, total)).astype(int))
    placed, before = [], 0
    for one in extraction.series:
        mine = chosen[(chosen >= before) & (chosen < before + len(one.rows))] - before
        before += len(one.rows)
        some = replace(one, rows=one.rows[mine])
        found = place(some, extraction.particles, conventions, plan, extraction.config.min_tilts)
        if len(found):
            placed.append(found)
    if not placed:
        return None
    _write_images(placed, plan, folder)
    path = write_extraction_stars(folder, placed, plan, extraction.optics, False)
    return read_particles(path)


def _write_images(placed: list[PlacedSeries], plan: CropPlan, folder: Path) -> None:
    """Poses differ between some answers, images do not: they are cut once."""
    for one in placed:
        if not (folder / "Particles" / one.series.name).exists():
            for _ in write_tomogram(folder, one, plan, "float32"):
                pass


def _decide_origin_and_hand(
    extraction: Extraction,
    first: Conventions,
    names: list[str],
    figures: dict[str, float],
) -> dict[str, float]:
    config = extraction.config
    found: dict[str, float] = {}
    pixel = extraction.plan.pixel_size_angstrom * max(1.0, config.box_px / _FINE_BOX_PX)
    box = min(config.box_px, _FINE_BOX_PX)
    plan = plan_crops(extraction.series[0].stack.pixel_size_angstrom, box, pixel)
    with tempfile.TemporaryDirectory() as folder:
        particles = _cut_some(extraction, first, plan, Path(folder), _FINE_PARTICLES)
        if particles is None or len(particles) < _FEWEST_PARTICLES:
            return {}
        at = first.origin
        given = _fine_sample(_moved(extraction, first, particles, at))
        maps = half_set_agreement(given)
        if "origin" in names:
            moved = _fine_sample(_moved(extraction, first, particles, 1 - at))
            moved_maps = half_set_agreement(moved)
            z = preference(maps, moved_maps).z
            figures["origin 1 over 0: z"] = z if at == 0 else -z
            if abs(z) >= _SURE_Z:
                found["origin"] = 1 - at if z > 0 else at
            if z >= _SURE_Z:
                given, maps = moved, moved_maps
        if "hand" in names:
            other = half_set_agreement(given.over(flipped_heights(given.particles)))
            figures["other hand over this: z"] = z = preference(maps, other).z
            figures["this hand"] = first.hand
            if abs(z) >= _SURE_Z:
                found["hand"] = -first.hand if z > 0 else first.hand
    return found


def _fine_sample(particles: ParticleSet) -> Sample:
    return run_to_end(
        read_sample(particles, DataConfig(), max_images=_MOST_IMAGES, max_box_px=_FINE_BOX_PX)
    )


def _moved(
    extraction: Extraction, first: Conventions, particles: ParticleSet, origin: int
) -> ParticleSet:
    """The same images with places that count voxels from another origin: shifts of the content."""
    steps = origin - first.origin
    if steps == 0 or not _counts_voxels(extraction):
        return particles
    series = {one.name: one for one in extraction.series}
    tomograms = particles.particles["tomogram"].astype(str).to_numpy()
    arrays = particles.arrays()
    mirror = np.array([1.0, 1.0, -1.0 if first.mirror else 1.0])
    shifts = np.zeros((len(arrays.particle), 2))
    for name in np.unique(tomograms):
        one = series[str(name)]
        assert one.frame is not None
        images = np.flatnonzero((tomograms == name)[arrays.particle])
        tilts = particles.images["tilt_index"].to_numpy()[images]
        # Counting from further on, particles are nearer to the corner: content comes from there.
        voxel = steps * one.frame.voxel_size_angstrom * mirror
        turned = one.geometry.rotations[tilts][:, :2] @ voxel
        shifts[images] = turned / particles.optics.pixel_size_angstrom
    images_table = particles.images.assign(shift_x_px=shifts[:, 0], shift_y_px=shifts[:, 1])
    return replace(particles, images=images_table)


def _settled(
    extraction: Extraction, stated: _Stated, found: dict[str, float], figures: dict[str, float]
) -> Decided:
    values, reasons, missing = {}, {}, []
    said = {"origin": "origin", "mirror": "z", "inverse": "pose", "hand": "hand"}
    for name, option in said.items():
        user, files = stated.user[name], stated.files[name]
        if user is not None:
            values[name], reasons[option] = user, "given"
        elif name in found:
            values[name], reasons[option] = found[name], "the data"
        elif files is not None:
            values[name], reasons[option] = files, "the files"
        else:
            missing.append(option)
    if missing:
        choices = {
            "origin": "--origin 0|1",
            "z": "--z keep|mirror",
            "pose": "--pose keep|inverse",
            "hand": "--hand 1|-1",
        }
        shown = ", ".join(f"{name} {value:.2f}" for name, value in figures.items())
        raise BadInputError(
            f"{extraction.config.particles}: neither files nor data say "
            f"{' and '.join(missing)} ({shown or 'too few particles'}).",
            remedy=f"Pass {_listed([choices[option] for option in missing])}.",
            code="undecided",
        )
    return Decided(_conventions(values), reasons, figures)


def _listed(words: list[str]) -> str:
    """As one says them: a, b and c."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _contradictions(
    stated: _Stated, found: dict[str, float]
) -> Generator[ExtractNotice, None, None]:
    words = {"origin": "the origin", "mirror": "z", "inverse": "poses", "hand": "the hand"}
    for name, value in found.items():
        if stated.open(name) and stated.files[name] not in (None, value):
            yield ExtractNotice(
                f"The data say otherwise than the files about {words[name]}: {value} is taken, "
                f"not {stated.files[name]}."
            )
