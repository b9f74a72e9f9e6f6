"""Are the particles aligned, inside their boxes and tomograms, and different from each other?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.spatial import KDTree

from napari_tomodrgn.data.checks.check import CheckResult, CheckSpec
from napari_tomodrgn.data.particles import ParticleSet


def _poses(particles: ParticleSet) -> Iterator[CheckResult]:
    whole = particles.particles[["rot_deg", "tilt_deg", "psi_deg"]].to_numpy(np.float64)
    if np.isnan(whole).all():
        whole = particles.images[["rot_deg", "tilt_deg", "psi_deg"]].to_numpy(np.float64)
    if not np.any(whole):
        message = "All angles are 0: the particles have not been aligned."
        remedy = "Refine them before looking for differences."
        yield CheckResult("error", "no-poses", message, remedy, 0.0)
    elif len(particles) > 1 and _all_the_same(particles, whole):
        message = f"All {len(particles)} particles have the same angles."
        remedy = "Refine them, or look for the column that has the angles of each particle."
        yield CheckResult("error", "identical-poses", message, remedy, len(particles))
    boxes = np.array([one.box_size_px for one in particles.optics.samplings])
    own_box = boxes[particles.images["optics_group"].to_numpy(np.int64)]
    far = int((_shifts(particles) > own_box / 2).sum())
    if far:
        yield CheckResult(
            "warning",
            "large-shifts",
            f"The shift of {far} images is larger than half the box.",
            "Check the unit of the origins, or extract the particles again at their new centres.",
            far,
        )


def _all_the_same(particles: ParticleSet, angles_deg: np.ndarray) -> bool:
    """Whether all particles have one pose: their own, or where images have one, the first's."""
    if len(angles_deg) == len(particles.images) != len(particles):
        first = particles.images["particle_id"].duplicated().to_numpy()
        angles_deg = angles_deg[~first]
    return bool((np.ptp(angles_deg, axis=0) < 1e-3).all())


def _shifts(particles: ParticleSet) -> np.ndarray:
    shifts = particles.images[["shift_x_px", "shift_y_px"]].to_numpy(np.float64)
    return np.asarray(np.abs(shifts).max(axis=1))


def _positions(particles: ParticleSet) -> Iterator[CheckResult]:
    columns = [f"position_{axis}_angstrom" for axis in "xyz"]
    extents = {known.name: known.extent_xyz_angstrom for known in particles.source.tomograms}
    outside = near = 0
    # Copies of one particle stand where it stands.
    first = np.unique(particles.originals, return_index=True)[1]
    for name, rows in particles.particles.iloc[first].groupby("tomogram", sort=False):
        at = rows[columns].to_numpy(np.float64)
        at = at[np.isfinite(at).all(axis=1)]
        extent = extents.get(str(name))
        if extent is not None:
            outside += int(((at < 0) | (at > np.array(extent))).any(axis=1).sum())
        near += len(KDTree(at).query_pairs(particles.optics.pixel_size_angstrom)) if len(at) else 0
    if outside:
        message = f"{outside} particles lie outside their tomogram."
        remedy = "Check the unit of the coordinates."
        yield CheckResult("warning", "outside-tomogram", message, remedy, outside)
    if near:
        message = f"{near} pairs of particles lie within one pixel of each other."
        remedy = "Remove duplicates before training."
        yield CheckResult("warning", "duplicate-positions", message, remedy, near)


def _trajectories(particles: ParticleSet) -> Iterator[CheckResult]:
    name = particles.source.optimisation_set.get("rlnTomoTrajectoriesFile", "")
    if name and Path(name).name != "None":
        message = f"The motion trajectories ({Path(name).name}) are not applied."
        remedy = "Extract 2-D stacks after motion refinement."
        yield CheckResult("info", "trajectories", message, remedy)


def _remarks(particles: ParticleSet) -> Iterator[CheckResult]:
    for remark in particles.source.remarks:
        yield CheckResult(
            remark.severity, remark.code, remark.message, remark.remedy, remark.number
        )


PLACE_QUESTIONS = (
    CheckSpec(
        _remarks,
        "reading",
        "All that the star files say of the images is used.",
        lambda particles: float(len(particles.images)),
        "What a file says and nobody heeds makes every result wrong in the same way.",
    ),
    CheckSpec(
        _poses,
        "angles-and-shifts",
        "The particles are aligned, and their shifts stay in the box.",
        lambda particles: float(_shifts(particles).max()),
        "Without poses there is no structure to compare.",
    ),
    CheckSpec(
        _positions,
        "positions",
        lambda particles: (
            "Positions lie inside their tomograms and are different ones."
            if particles.has_positions
            else "There are no positions: nothing says where particles are, or that two are one."
        ),
        lambda particles: float(len(particles)) if particles.has_positions else 0.0,
        "Duplicates are taken for independent particles; a wrong unit for another defocus.",
    ),
    CheckSpec(
        _trajectories,
        "motion",
        "There are no motion trajectories that would have to be applied.",
        lambda particles: 0.0,
        "Particles that moved during the series are blurred otherwise.",
    ),
)
