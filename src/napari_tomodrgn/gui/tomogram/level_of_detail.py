"""Which particles are drawn how: by their size on the screen, and by a budget, nearest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.gui.tomogram.particle_surfaces import SurfaceRequest
from napari_tomodrgn.particle_columns import latent_matrix, rows_of
from napari_tomodrgn.session import Session

if TYPE_CHECKING:
    from napari_tomodrgn.analysis.tomogram.placement import Poses

# Pixels on the screen that a particle has to span to be worth a surface, and a map of its own.
SURFACE_PX, OWN_PX = 5.0, 16.0


@dataclass(frozen=True, eq=False)
class ViewFocus:
    """What is looked at: a place zyx in Å, and how many pixels a particle spans there."""

    place_zyx: NDArray[np.float64]
    span_px: float


def surface_request_of(
    session: Session, poses: Poses, shown: NDArray[np.bool_], seen: ViewFocus
) -> SurfaceRequest | None:
    """The surfaces to make; None where there can be none, or none is asked for.

    ``shown`` ``(particle,)`` says which of ``poses`` are drawn at all.
    """
    table, look = session.latents, session.tomogram_display
    run = session.run_of_maps
    if run is None or table is None or look.shape == "points":
        return None
    surfaces, own = select_level_of_detail(session, poses, shown, seen)
    matrix = latent_matrix(table).astype(np.float32)
    rows = rows_of(table, poses.ids)
    latents = np.where((rows >= 0)[:, None], matrix[rows], np.float32(np.nan))
    codes = np.full(len(table), -1, np.int64)
    column = session.color_column
    if column is not None and column.categorical:
        codes = np.asarray(column.values, np.int64)
    overall = matrix.mean(axis=0)
    # A category that no particle of this table has is nobody's.
    means = [
        matrix[codes == code].mean(axis=0) if (codes == code).any() else overall
        for code in range(codes.max() + 1)
    ]
    classes = np.where(rows >= 0, codes[rows], -1)
    at = (run, session.epoch, poses, latents, classes, np.stack([*means, overall]))
    return SurfaceRequest(*at, surfaces, own, session.sigma)


def select_level_of_detail(
    session: Session, poses: Poses, shown: NDArray[np.bool_], seen: ViewFocus
) -> tuple[NDArray[np.int64], int]:
    """Select the particles to draw as surfaces, nearest to what is looked at first.

    Within each of the two groups rows ascend, so that the same particles are the same wish.

    Parameters
    ----------
    session
        Says how many surfaces are wanted, and how.
    poses
        Of the tomogram's particles.
    shown
        ``(particle,)``, which of them are drawn at all.
    seen
        What is looked at.

    Returns
    -------
    ``(row,)`` of ``poses``, and how many of them, from the first, get their own map.
    """
    look = session.tomogram_display
    posed = np.isfinite(poses.rotations_xyz).all(axis=(1, 2))
    rows = np.flatnonzero(shown & posed)
    away = np.linalg.norm(poses.positions_zyx_angstrom[rows] - seen.place_zyx, axis=1)
    surfaces = rows[np.argsort(away, kind="stable")][: look.most_surfaces]
    own = min(look.most_own, len(surfaces))
    if look.shape == "class" or (look.shape == "auto" and seen.span_px < OWN_PX):
        own = 0
    if look.shape == "auto" and seen.span_px < SURFACE_PX:
        surfaces = surfaces[:0]
    return np.concatenate([np.sort(surfaces[:own]), np.sort(surfaces[own:])]), own


def fingerprint(request: SurfaceRequest) -> tuple[object, ...]:
    """What makes two wishes the same."""
    arrays = (request.latents, request.classes, request.class_latents, request.surfaces)
    content = tuple(array.tobytes() for array in arrays)
    return (
        request.run.maps_key,
        request.epoch,
        request.poses.tomogram,
        request.own,
        request.sigma,
        content,
    )
