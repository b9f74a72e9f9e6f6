"""The same simulated particles in every dialect, from the scene and not by our readers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from exports.relion import (
    warptools,
    write_refined,
    write_relion4,
    write_relion5,
    write_relion5_lists,
    write_relion_matrices,
)
from exports.series import (
    cryosrpnt,
    of_the_simulator,
    write_cistem,
    write_emclarity,
    write_flattened,
    write_micrograph_per_tilt,
    write_nextpyp,
    write_nextpyp_text,
    write_tomodrgn,
)
from exports.world import Exported, World

WRITERS: dict[str, tuple[str, Callable[[World, Path], Exported]]] = {
    "warptools": ("warptools", warptools),
    "warptools-refined": ("warptools", write_refined),
    "relion5": ("relion5", write_relion5),
    "relion5-lists": ("relion5", write_relion5_lists),
    "relion4": ("relion4", write_relion4),
    "relion-matrices": ("relion-matrices", write_relion_matrices),
    "relion5-images": ("relion5-images", write_flattened),
    "warp": ("warp", of_the_simulator),
    "warp-tilt-images": ("warp", write_micrograph_per_tilt),
    "cryosrpnt": ("cryosrpnt", cryosrpnt),
    "nextpyp": ("nextpyp", write_nextpyp),
    "nextpyp-text": ("nextpyp", write_nextpyp_text),
    "tomodrgn": ("tomodrgn", write_tomodrgn),
    "cistem": ("cistem", write_cistem),
    "emclarity": ("cistem", write_emclarity),
}
