"""Do poses and the direction of the tilts say what the images show?"""

from __future__ import annotations

from collections.abc import Iterator

from napari_tomodrgn.analysis.preflight.cross_validation import agreement, preference
from napari_tomodrgn.analysis.preflight.hypotheses import flipped_tilts, shuffled_poses
from napari_tomodrgn.analysis.preflight.state import LIMIT, State
from napari_tomodrgn.data.checks import Check


def pose_checks(state: State) -> Iterator[Check]:
    """Do poses say more than those of other particles would?"""
    why = "Without the particles' own poses every map is the same featureless average."
    shuffled = agreement(state.sample.over(shuffled_poses(state.sample.particles)))
    # How much better the given poses are than shuffled ones.
    found = preference(shuffled, state.maps())
    number = found.relative
    if found.z >= LIMIT.sure:
        message = (
            f"Poses foresee images {number:.0%} better than poses shuffled between particles "
            f"(z = {found.z:.1f})."
        )
        yield Check("poses", "ok", message, number, why)
    elif shuffled.z >= LIMIT.sure and number + 2 * found.error < LIMIT.information:
        message = (
            "Poses carry no information: poses shuffled between particles foresee the images as "
            f"well ({number:+.0%}, z = {found.z:.1f})."
        )
        remedy = (
            "Check that the angles stand in the rows of their own particles and follow RELION's "
            "convention; or refine them."
        )
        yield Check("poses", "warning", message, number, why, remedy)
    else:
        message = f"Undecided whether poses carry information (z = {found.z:.1f})."
        yield Check("poses", "info", message, number, why, "Ask again with more particles.")


def tilt_hand_checks(state: State) -> Iterator[Check]:
    """Do the tilts go the way that the poses say?"""
    why = "Tilts that go the other way blur every map and mix up the hand."
    other = state.sample.over(flipped_tilts(state.sample.particles))
    found = preference(state.maps(), agreement(other))
    if found.z >= LIMIT.sure and found.relative >= LIMIT.gain:
        message = (
            f"Tilts of the opposite direction foresee images {found.relative:.0%} better "
            f"(z = {found.z:.1f})."
        )
        remedy = "Turn the sign of the tilt angles, or the hand of the tilt geometry, around."
        yield Check("tilt-hand", "warning", message, found.relative, why, remedy)
    elif found.z <= -LIMIT.sure:
        message = f"Tilts go the way that the poses say (z = {-found.z:.1f})."
        yield Check("tilt-hand", "ok", message, -found.relative, why)
    else:
        message = f"Undecided whether the tilts go the right way (z = {found.z:.1f})."
        yield Check("tilt-hand", "info", message, found.relative, why)
