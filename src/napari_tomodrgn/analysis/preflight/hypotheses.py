"""Other descriptions of the same images, each of which may turn out to fit better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.geometry import euler_to_matrix, matrix_to_euler
from napari_tomodrgn.learn.reconstruction.subsample import Sample
from napari_tomodrgn.physics.fourier import shift_phases

# Farther from the middle, in boxes, a particle is partly out of its image.
_STILL_IN_BOX = 0.3


def with_rotations(particles: ParticleSet, rotations: NDArray[np.float64]) -> ParticleSet:
    """The set with other rotations reference → image, ``(image, 3, 3)``."""
    rot, tilt, psi = matrix_to_euler(rotations).T
    images = particles.images.assign(rot_deg=rot, tilt_deg=tilt, psi_deg=psi)
    return replace(particles, images=images)


def _with_poses(
    particles: ParticleSet, tilts: NDArray[np.float64], whole: NDArray[np.float64]
) -> ParticleSet:
    """The set with other rotations of its particles, under the same tilts."""
    changed = with_rotations(particles, tilts @ whole[particles.arrays().particle])
    names = ["rot_deg", "tilt_deg", "psi_deg"]
    if particles.particles[names].isna().any(axis=None):
        return changed  # the particles' own angles are not known, and stay so
    angles = dict(zip(names, matrix_to_euler(whole).T, strict=True))
    return replace(changed, particles=particles.particles.assign(**angles))


def split_rotations(
    particles: ParticleSet,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Split the rotation of each image into that of its particle and that of its tilt: ``R = P Q``.

    Where the file does not give the particle's own angles, its least tilted image stands for it
    and for the specimen.

    Returns
    -------
    ``(particle, 3, 3)`` Q, reference → specimen, and ``(image, 3, 3)`` P, specimen → image.
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


def inverted_poses(particles: ParticleSet) -> ParticleSet:
    """The particles' rotations read the other way, specimen → reference.

    Where each image has a rotation of its own the whole of it is inverted.
    """
    if particles.source.rows_are_images:
        return with_rotations(particles, particles.arrays().rotations.transpose(0, 2, 1))
    whole, tilts = split_rotations(particles)
    return _with_poses(particles, tilts, whole.transpose(0, 2, 1))


def unmirrored_places(sample: Sample) -> tuple[Sample, Sample] | None:
    """Images whose particle would still be in the box if z had been mirrored when they were cut.

    Returns
    -------
    A sample of these images as they are, and shifted by 2 z times the part of the specimen's z
    that lies in the image; None where places are not known, or too few such images are there.
    """
    particles = sample.particles
    heights = _heights_from_middle(particles)
    if heights is None:
        return None
    tilts = split_rotations(particles)[1]
    owner = sample.particle_index
    shifts = 2 * heights[owner, None] * tilts[:, :2, 2] / particles.optics.pixel_size_angstrom
    away = np.linalg.norm(shifts, axis=1)
    keep = away <= _STILL_IN_BOX * particles.optics.box_size_px
    if len(np.unique(owner[keep])) < 6 or not (keep & (away > 1.0)).any():
        return None
    some = sample.take_images(keep)
    return some, _shifted(some, shifts[keep])


def moved_origin(sample: Sample, steps_px: float) -> Sample | None:
    """The images as if places had counted from a corner further on when they were cut.

    Parameters
    ----------
    sample
        Images of particles.
    steps_px
        How much further on along x, y and z, in pixels of the images.

    Returns
    -------
    Each image shifted by what of that step lies in it; None where the file does not tell the
    particles' own angles from those of the tilts.
    """
    particles = sample.particles
    own = particles.particles[["rot_deg", "tilt_deg", "psi_deg"]].to_numpy(np.float64)
    if not np.isfinite(own).all():
        return None
    tilts = split_rotations(particles)[1]
    return _shifted(sample, steps_px * tilts[:, :2].sum(axis=2))


def _shifted(sample: Sample, shifts_px: NDArray[np.float64]) -> Sample:
    """A sample whose images are shifted, ``(image, 2)`` xy."""
    phases = shift_phases(sample.lattice, torch.from_numpy(shifts_px.astype(np.float32)))
    moved = sample.images.take(torch.arange(len(shifts_px))) * phases
    return replace(sample, images=replace(sample.images, samples=moved))


def _heights_from_middle(particles: ParticleSet) -> NDArray[np.float64] | None:
    """z of each particle from the middle of its tomogram, in Å; None where it is not known."""
    extents = {one.name: one.extent_xyz_angstrom for one in particles.source.tomograms}
    known = [extents.get(str(name)) for name in particles.particles["tomogram"]]
    z = particles.particles["position_z_angstrom"].to_numpy(np.float64)
    if not np.isfinite(z).all() or any(extent is None for extent in known):
        return None
    return z - np.array([extent[2] for extent in known if extent is not None]) / 2


def shuffled_poses(particles: ParticleSet) -> ParticleSet:
    """Each particle with the pose of another one, tilts as they are."""
    whole, tilts = split_rotations(particles)
    order = np.random.default_rng(1).permutation(len(whole))
    other = np.empty_like(order)
    other[order] = np.roll(order, 1)
    return _with_poses(particles, tilts, whole[other])


def heights_angstrom(particles: ParticleSet) -> NDArray[np.float64]:
    """What of each image's defocus comes from the particle's place in its tomogram, ``(image,)`` Å.

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
    optics = particles.optics
    changed = particles.with_optics(
        spherical_aberration_mm=optics.spherical_aberration_mm / factor**4,
        other_groups=tuple(
            replace(group, spherical_aberration_mm=group.spherical_aberration_mm / factor**4)
            for group in optics.other_groups
        ),
    )
    return replace(changed, images=particles.images.assign(**columns))
