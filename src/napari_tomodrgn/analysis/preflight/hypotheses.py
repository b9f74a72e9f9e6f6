"""Other descriptions of the same images, each of which may turn out to fit better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.geometry import euler_to_matrix, matrix_to_euler


def with_rotations(particles: ParticleSet, rotations: NDArray[np.float64]) -> ParticleSet:
    """The set with other rotations reference → image, ``(image, 3, 3)``."""
    rot, tilt, psi = matrix_to_euler(rotations).T
    images = particles.images.assign(rot_deg=rot, tilt_deg=tilt, psi_deg=psi)
    return replace(particles, images=images)


def split_rotations(
    particles: ParticleSet,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotation of each particle and, for each image, that of its tilt: ``R = P Q``.

    Where the file does not give the particle's own angles, its least tilted image stands for it.
    """
    arrays = particles.arrays()
    own = particles.particles[["rot_deg", "tilt_deg", "psi_deg"]].to_numpy(np.float64)
    if np.isfinite(own).all():
        whole = euler_to_matrix(own)
    else:
        order = np.lexsort((np.abs(arrays.stage_tilt_deg), arrays.particle))
        first = np.unique(arrays.particle[order], return_index=True)[1]
        whole = arrays.rotations[order[first]]
    return whole, arrays.rotations @ whole[arrays.particle].transpose(0, 2, 1)


def flipped_tilts(particles: ParticleSet) -> ParticleSet:
    """The other hand of the tilt geometry: ``P → M P M`` with ``M = diag(1, 1, −1)``.

    A stage that tilts the other way; the same for all tilts of a series but the untilted one.
    """
    whole, tilts = split_rotations(particles)
    mirror = np.diag([1.0, 1.0, -1.0])
    particle_index = particles.arrays().particle
    return with_rotations(particles, mirror @ tilts @ mirror @ whole[particle_index])


def shuffled_poses(particles: ParticleSet) -> ParticleSet:
    """Each particle with the pose of another one, tilts as they are."""
    whole, tilts = split_rotations(particles)
    order = np.random.default_rng(1).permutation(len(whole))
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    return with_rotations(particles, tilts @ whole[other][particles.arrays().particle])


def heights_angstrom(particles: ParticleSet) -> NDArray[np.float64]:
    """What of each image's defocus comes from the particle's place in its tomogram, in Å.

    The defocus minus the mean over the particles of the same tilt of the same tomogram: the sign
    of the rest depends on the hand, that of the mean does not.
    """
    arrays, table = particles.arrays(), particles.images
    defocus = (arrays.defocus_u_angstrom + arrays.defocus_v_angstrom) / 2
    tomogram = particles.particles["tomogram"].to_numpy()[arrays.particle]
    frame = table.assign(_tomogram=tomogram, _defocus=defocus)
    dose = frame["dose_e_per_angstrom2"].round(3)
    mean = frame.groupby(["_tomogram", dose, "tilt_index"], observed=True)["_defocus"].transform(
        "mean"
    )
    return np.asarray(defocus - mean.to_numpy(np.float64))


def flipped_heights(particles: ParticleSet) -> ParticleSet:
    """The other sign of how a particle's place changes its defocus."""
    height = heights_angstrom(particles)
    columns = {
        f"defocus_{axis}_angstrom": particles.images[f"defocus_{axis}_angstrom"] - 2 * height
        for axis in "uv"
    }
    return replace(particles, images=particles.images.assign(**columns))


def scaled_pixels(particles: ParticleSet, factor: float) -> ParticleSet:
    """The CTFs of pixels ``factor`` times as large: ``Δf / factor²`` and ``Cs / factor⁴``.

    That is the CTF at ``s / factor``, while the weights by dose stay as they are and compare.
    """
    columns = {
        f"defocus_{axis}_angstrom": particles.images[f"defocus_{axis}_angstrom"] / factor**2
        for axis in "uv"
    }
    cs = particles.optics.spherical_aberration_mm / factor**4
    changed = particles.with_optics(spherical_aberration_mm=cs)
    return replace(changed, images=particles.images.assign(**columns))
