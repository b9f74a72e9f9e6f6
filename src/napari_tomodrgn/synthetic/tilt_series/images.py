"""Full tilt images of a scene, and everything that programs would have written about them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.extract.geometry import CentreRule, centre_index, tilt_angles
from napari_tomodrgn.files import write_text
from napari_tomodrgn.geometry import euler_to_matrix
from napari_tomodrgn.physics.fourier import images_from_samples
from napari_tomodrgn.synthetic.imaging import Microscope
from napari_tomodrgn.synthetic.scene import TOMOGRAM_VOXEL_ANGSTROM, Scene
from napari_tomodrgn.synthetic.stacks import StackWriter
from napari_tomodrgn.synthetic.tilt_series.alignments import FORMS
from napari_tomodrgn.synthetic.tilt_series.contrast import (
    write_aretomo_ctf,
    write_ctffind,
    write_imod_ctf,
    write_mdoc,
)
from napari_tomodrgn.synthetic.tilt_series.lists import LISTS
from napari_tomodrgn.synthetic.tilt_series.true_particles import TrueParticles
from napari_tomodrgn.synthetic.tilt_series.truth import TrueSeries

FloatArray = NDArray[np.float64]
# How far images are shifted against each other, in pixels, as a stage drifts.
_DRIFT_PX = 6.0
_MARGIN_PX = 32  # by which images are wider than the longer side of the tomogram
_MEAN_COUNTS = 20.0  # of a pixel; its noise has a standard deviation of 1
# Lists count voxels of a tomogram of one program: IMOD's middle is half a voxel from the others'.
FAMILIES: dict[str, CentreRule] = {"imod": "(n-1)/2", "aretomo": "n/2"}


def true_series(scene: Scene, row: int, seed: int) -> TrueSeries:
    """The alignment of a tomogram's tilt series, drawn from the seed."""
    series, pixel = scene.series[row], scene.pixel_size_angstrom
    volume = [2 * round(edge / pixel / 2) for edge in series.extent_xyz_angstrom]
    size = 2 * ((max(volume[:2]) + _MARGIN_PX) // 2)
    angles = np.round(tilt_angles(scene.scheme.rotations), 4)
    count = len(angles)
    rng = np.random.default_rng([seed, 3, row])
    middle = np.round(size / 2 + rng.normal(scale=_DRIFT_PX, size=(count, 2)), 3)
    corner = middle - (scene.scheme.rotations @ (np.array(volume) / 2))[:, :2]
    dose = scene.scheme.dose_e_per_angstrom2
    return TrueSeries(
        name=series.name,
        axis_deg=angles[:, 0],
        tilt_deg=angles[:, 1],
        corner_px=corner,
        image_size_px=(size, size),
        volume_size_px=(volume[0], volume[1], volume[2]),
        pixel_size_angstrom=pixel,
        order=np.argsort(np.argsort(dose)),
        dose_per_tilt=float(np.sort(dose)[1]) if count > 1 else 0.0,
        defocus_u_angstrom=series.defocus_u_angstrom,
        defocus_v_angstrom=series.defocus_v_angstrom,
        defocus_angle_deg=series.defocus_angle_deg,
    )


def write_tilt_series(folder: Path, microscope: Microscope, scale: float) -> Iterator[int]:
    """Write stacks, alignments, lists, CTFs and doses, yielding tomograms that are done."""
    scene, seed = microscope.scene, microscope.config.seed
    all_series = [true_series(scene, row, seed) for row in range(len(scene.series))]
    for row, series in enumerate(all_series):
        _write_images(folder / "stacks" / f"{series.name}.mrc", microscope, series, row, scale)
        yield row + 1
    for old in folder.glob("alignments/relion*/tomograms.star"):
        old.unlink()  # rows are added to it
    for series in all_series:
        for form, write in FORMS.items():
            write(folder / "alignments" / form, series)
        write_ctffind(folder / "ctf" / "ctffind", series)
        write_aretomo_ctf(folder / "ctf" / "aretomo", series)
        write_imod_ctf(folder / "ctf" / "imod", series)
        write_mdoc(folder / "dose" / "mdoc", series)
        order = "".join(f"{when + 1}\n" for when in series.order)
        write_text(folder / "dose" / f"{series.name}_order.txt", order)
    for family, rule in FAMILIES.items():
        particles = true_particles(scene, all_series, rule)
        for write_list in LISTS.values():
            write_list(folder / "lists" / family, particles)


def true_particles(scene: Scene, series: list[TrueSeries], rule: CentreRule) -> TrueParticles:
    """All particles, as they were averaged, in voxels of tomograms of a program with that rule."""
    crowd = scene.crowd
    extents = np.array([one.extent_xyz_angstrom for one in scene.series])[crowd.series]
    volumes = np.array([one.volume_size_px for one in series])[crowd.series]
    pixel, voxel = scene.pixel_size_angstrom, TOMOGRAM_VOXEL_ANGSTROM
    from_half = crowd.positions_angstrom - extents / 2
    off = (volumes / 2 - centre_index(volumes, rule)) * pixel
    centred = from_half + off
    binned = np.rint(extents / voxel)
    return TrueParticles(
        tomogram=crowd.series + 1,
        number=crowd.number,
        voxels=centred / voxel + centre_index(binned, rule),
        centred_angstrom=centred,
        series_px=centred / pixel + centre_index(volumes, rule),
        voxel_size_angstrom=voxel,
        binning=voxel / pixel,
        rotations=euler_to_matrix(crowd.angles_deg),
    )


def as_tilted(scene: Scene, series: TrueSeries, row: int) -> TrueSeries:
    """The series as the stage was tilted, where that is not what the alignment says."""
    if not scene.nuisances.tilt_deg[row].any():
        return series
    half = np.array(series.volume_size_px) / 2
    middle = series.corner_px + (series.rotations @ half)[:, :2]
    angles = tilt_angles(scene.true_tilts(row))
    tilted = replace(series, axis_deg=angles[:, 0], tilt_deg=angles[:, 1])
    return replace(tilted, corner_px=middle - (tilted.rotations @ half)[:, :2])


def _write_images(
    path: Path, microscope: Microscope, series: TrueSeries, row: int, scale: float
) -> None:
    scene = microscope.scene
    nx, ny = series.image_size_px
    series = as_tilted(scene, series, row)
    stack = np.zeros((len(series.tilt_deg), ny, nx), np.float32)
    for particle in scene.members(row).tolist():
        _add_particle(stack, microscope, series, particle, scale)
    rng = np.random.default_rng([microscope.config.seed, 4, row])
    with StackWriter(path, stack.shape, scene.pixel_size_angstrom) as writer:
        writer.as_image_stack()
        for image in stack:
            noise = rng.standard_normal(image.shape, dtype=np.float32)
            writer.append((image + noise + np.float32(_MEAN_COUNTS))[None])


def _add_particle(
    stack: NDArray[np.float32],
    microscope: Microscope,
    series: TrueSeries,
    particle: int,
    scale: float,
) -> None:
    """Add what is in a particle's box where it falls, to parts of a pixel."""
    scene, box = microscope.scene, microscope.config.box_size_px
    tomogram = scene.series[scene.crowd.series[particle]]
    from_half = scene.true_positions_angstrom()[particle] - tomogram.extent_xyz_angstrom / 2
    voxel = from_half / scene.pixel_size_angstrom + np.array(series.volume_size_px) / 2
    centres = series.place(voxel[None])[:, 0]
    whole = np.rint(centres)
    signal = microscope.seen(particle, whole - centres) * scale  # it sits at minus the shift
    images = images_from_samples(signal, microscope.lattice).numpy()
    limit = np.array(stack.shape[:0:-1])
    for image, target, corner in zip(stack, images, whole.astype(int) - box // 2, strict=True):
        low, high = np.clip(corner, 0, limit), np.clip(corner + box, 0, limit)
        if (low >= high).any():
            continue
        (x0, y0), (x1, y1) = low, high
        inside = target[y0 - corner[1] : y1 - corner[1], x0 - corner[0] : x1 - corner[0]]
        image[y0:y1, x0:x1] += inside
