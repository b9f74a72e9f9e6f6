"""The same simulated particles in every dialect, from the scene and not by our readers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from exports.relion import warptools, write_refined, write_relion4, write_relion5
from exports.series import (
    cryosrpnt,
    of_the_simulator,
    write_cistem,
    write_emclarity,
    write_nextpyp,
    write_nextpyp_text,
    write_tomodrgn,
)
from exports.world import Exported, World

WRITERS: dict[str, tuple[str, Callable[[World, Path], Exported]]] = {
    "warptools": ("warptools", warptools),
    "warptools-refined": ("warptools", write_refined),
    "relion5": ("relion5", write_relion5),
    "relion4": ("relion4", write_relion4),
    "warp": ("warp", of_the_simulator),
    "cryosrpnt": ("cryosrpnt", cryosrpnt),
    "nextpyp": ("nextpyp", write_nextpyp),
    "nextpyp-text": ("nextpyp", write_nextpyp_text),
    "tomodrgn": ("tomodrgn", write_tomodrgn),
    "cistem": ("cistem", write_cistem),
    "emclarity": ("cistem", write_emclarity),
}
