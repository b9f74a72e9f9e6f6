"""Two groups compared: evidence, cause, place and size of their difference, in one sentence."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.analysis.evidence.blobs import (
    Blob,
    Change,
    change_of,
    find_blobs,
    lacking_parts,
    places_of,
)
from napari_tomodrgn.analysis.evidence.cause_names import MOLECULE
from napari_tomodrgn.analysis.evidence.causes import Causes, find_causes
from napari_tomodrgn.analysis.evidence.maps import (
    ComparedMaps,
    DifferenceMap,
    GroupMap,
    cross_fitted_map,
    difference_map,
)
from napari_tomodrgn.analysis.evidence.membership import CrossedLabels, cross_labels, uncrossed
from napari_tomodrgn.analysis.evidence.permutation import (
    LEAST_TOMOGRAMS,
    chance,
    constant_in_tomograms,
    permuted,
    tomograms_a_side,
    tomograms_tell,
)
from napari_tomodrgn.analysis.evidence.session import Evidence
from napari_tomodrgn.analysis.part_motion import PartMotion, find_part_motion
from napari_tomodrgn.data.volume import Volume
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.runtime.events import WorkProgress

Labels = NDArray[np.int8]

PERMUTATIONS = 4999  # random splits that errors and chances come from
FEWEST_MEMBERS = 4  # particles of a group that is compared
_LEAST_KEPT = 0.5  # of a difference after groups were chosen anew, that it is undone
_UNTELLABLE = "cannot be told from differences between tomograms"
_CHANGES: dict[Change, str] = {
    "": "",
    "moves": ", which looks like a part that moves",
    "more in a": ", which looks like {parts} in {a} and not in {b}",
    "more in b": ", which looks like {parts} in {b} and not in {a}",
}


@dataclass(frozen=True)
class Kind:
    """What kind of difference two groups have.

    Attributes
    ----------
    change
        Whether a part moves, or one group has parts that the other lacks; empty where that is not
        clear.
    parts
        How many, as far as they lie apart; 0 where that is not clear.
    motion
        How far a part moves; None where that is not clear.
    """

    change: Change
    parts: int = 0
    motion: PartMotion | None = None

    def words(self, a: str, b: str) -> str:
        """The end of the sentence."""
        parts = f"{self.parts} parts" if self.parts > 1 else "a part"
        said = _CHANGES[self.change].format(a=a, b=b, parts=parts)
        if self.motion is None:
            return said
        turn = f" (a turn of {self.motion.turn_deg:.0f}°)" if self.motion.turn_deg >= 1 else ""
        return f"{said} by up to {self.motion.farthest_angstrom:.0f} Å{turn}"


@dataclass(frozen=True, eq=False)
class Comparison:
    """What images say of the difference of two groups that they did not choose.

    Attributes
    ----------
    drawn
        ``(particle,)`` the groups as asked for: +1 in A, −1 in B, 0 in neither.
    crossed
        The groups as compared.
    causes
        Tests of the difference, and what it is of.
    blobs
        Where it is, the surest place first.
    difference
        The difference map and its errors.
    maps
        Cross-fitted maps of A and B; None where they were not asked for.
    permutations
        Number of random splits; of few tomograms all that there are.
    by_tomogram
        Whether groups are constant in a tomogram; the numbers of tomograms then.
    kind
        Whether a part moves, and how far, or one group has parts that the other lacks.
    """

    drawn: Labels
    crossed: CrossedLabels
    causes: Causes
    blobs: list[Blob]
    difference: DifferenceMap
    maps: tuple[GroupMap, GroupMap] | None
    permutations: int
    by_tomogram: tuple[int, int] | None
    kind: Kind | None = None

    @property
    def tellable(self) -> bool:
        """False where groups are constant in a tomogram, and too few to permute."""
        return self.by_tomogram is None or tomograms_tell(*self.by_tomogram)

    @property
    def differ(self) -> bool:
        """Whether other images of the same particles support a difference of the molecule."""
        return self.tellable and self.causes.name == MOLECULE

    @property
    def resolution_angstrom(self) -> float:
        """Where halves of the particles agree on the difference (`FSC_THRESHOLD`)."""
        return self.difference.fsc.resolution_angstrom()

    @property
    def change(self) -> Change:
        """Whether a part moves, or one group has a part that the other lacks."""
        return self.kind.change if self.kind else ""

    @property
    def places(self) -> list[Blob]:
        """The blobs that a person would count as places, the surest first."""
        return places_of(self.blobs, self.finest_angstrom)

    @property
    def finest_angstrom(self) -> float:
        """The resolution of the difference; 0 where halves agree nowhere."""
        resolution = self.resolution_angstrom
        return resolution if np.isfinite(resolution) else 0.0

    @property
    def kept(self) -> ComparedMaps:
        """What is written of it beside its figures, and shown."""
        return ComparedMaps(self.drawn, self.crossed.labels, self.difference, self.maps)

    def sentence(self, a: str = "A", b: str = "B") -> str:
        """The result, for who reads one line."""
        if not self.tellable:
            one, two = self.by_tomogram or (0, 0)
            return (
                f"{a} and {b} are of different tomograms ({one} and {two}): a difference "
                f"{_UNTELLABLE} with fewer than {LEAST_TOMOGRAMS} of one and {LEAST_TOMOGRAMS + 1} "
                "of the other."
            )
        name = self.causes.name
        if not name:
            return f"{a} and {b}: no difference that other images of the same particles support."
        if name != MOLECULE:
            part = self.causes.tests.get(name, self.causes.whole)
            return (
                f"{a} and {b} differ, but not in the molecule: the cause is {name} "
                f"({part.z:.1f} σ, {chance(part.p, self.permutations)})."
            )
        test = self.causes.tests[MOLECULE]
        words = [f"{a} and {b} differ: {test.z:.1f} σ"]
        if np.isfinite(self.resolution_angstrom):
            words.append(f"seen to {self.resolution_angstrom:.0f} Å")
        if self.blobs:
            blob = self.blobs[0]
            place = ", ".join(f"{value:.0f}" for value in blob.center_xyz_angstrom)
            words.append(
                f"mostly in a blob {blob.diameter_angstrom:.0f} Å across at ({place}) Å from the "
                "middle of the box (xyz)"
            )
            others = len(self.places) - 1
            words += [f"and in {others} more place{'s' * (others > 1)}"] if others else []
        change = self.kind.words(a, b) if self.kind else ""
        return ", ".join(words) + f"{change}; poses, contrast and defocus do not explain it."


def compare_groups(
    evidence: Evidence,
    drawn: Labels,
    *,
    from_images: bool = True,
    with_maps: bool = True,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Generator[WorkProgress, None, Comparison]:
    """Compare two groups of a run's particles.

    Parameters
    ----------
    evidence
        Of the run.
    drawn
        ``(particle,)`` +1 in A, −1 in B, 0 in neither.
    from_images
        Whether the groups came from images in any way; if so they are chosen anew from one half
        of the tilts and compared in the other. Groups that are constant in every tomogram never
        need that.
    with_maps
        Whether to reconstruct both groups too.
    permutations
        Random splits that errors and chances come from.
    seed
        Of folds, half maps and permutations.

    Raises
    ------
    BadInputError
        If a group has fewer than four particles.
    """
    _reject_small(drawn)
    both = np.stack([drawn, drawn])
    constant = constant_in_tomograms(both, evidence.strata)
    crossed = (
        cross_labels(drawn, evidence.latents, seed, evidence.data.originals)
        if from_images and not constant
        else uncrossed(drawn)
    )
    labels = crossed.labels
    splits = permuted(labels, evidence.strata, permutations, seed)
    yield WorkProgress(1, 4, "Comparing")
    features, sums = evidence.features, evidence.sums
    causes = find_causes(features, sums, evidence.nuisances, crossed, splits)
    yield WorkProgress(2, 4, "Comparing")
    blobs = find_blobs(features, sums, labels, splits)
    yield WorkProgress(3, 4, "Comparing")
    difference = difference_map(sums, labels, splits, evidence.data.images.scale, seed)
    yield WorkProgress(4, 4, "Comparing")
    maps = (yield from _both_maps(evidence, labels, seed)) if with_maps else None
    sides = tomograms_a_side(labels, evidence.strata) if constant else None
    found = Comparison(drawn, crossed, causes, blobs, difference, maps, len(splits), sides)
    if not found.differ:
        return found
    yield WorkProgress(1, 1, "Looking at what differs")
    return replace(found, kind=_kind(found))


def _kind(found: Comparison) -> Kind:
    """What kind of difference it is: by its places, by a motion, or by who has density there."""
    change = change_of(found.blobs, found.finest_angstrom)
    if found.maps is None:
        return Kind(change)
    # Of maps without what each group has of the other's particles.
    kept = found.crossed.attenuation
    share = (1 - kept) / (2 * kept) if kept > _LEAST_KEPT else 0.0
    a, b = found.maps
    whole = _apart(a.filtered, b.filtered, share)
    resolution = max(group.fsc.resolution_angstrom() for group in (a, b))
    motion = None
    if change in ("moves", "") and np.isfinite(resolution):
        halves = [_apart(a.half1, b.half1, share), _apart(a.half2, b.half2, share)]
        motion = find_part_motion(*whole, halves, resolution)
    if change == "moves" or motion is not None:
        return Kind("moves", motion=motion)
    has, parts = lacking_parts(found.places, *whole)
    return Kind(change or has, parts if has == change or not change else 0)


def _apart(a: Volume, b: Volume, share: float) -> tuple[Volume, Volume]:
    """Two maps, each the farther from the other by ``share`` of their difference."""
    more = share * (a.data - b.data)
    voxel = a.voxel_size_angstrom
    return Volume(a.data + more, voxel), Volume(b.data - more, voxel)


def _both_maps(
    evidence: Evidence, labels: Labels, seed: int
) -> Generator[WorkProgress, None, tuple[GroupMap, GroupMap]]:
    found, before, total = [], 0, int((labels != 0).sum())
    for side in (1, -1):
        steps = cross_fitted_map(evidence.data, labels == side, evidence.halves, seed)
        while True:
            try:
                done = next(steps)
            except StopIteration as finished:
                found.append(finished.value)
                break
            yield WorkProgress(before + done, total, "Reconstructing")
        before += int((labels == side).sum())
    return found[0], found[1]


def _reject_small(drawn: Labels) -> None:
    for side, name in ((1, "A"), (-1, "B")):
        count = int((drawn == side).sum())
        if count < FEWEST_MEMBERS:
            raise BadInputError(
                f"Group {name} has {count} particles; at least {FEWEST_MEMBERS} are compared.",
                code="few-particles",
            )
