"""The same particles in the list of each averaging package."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from napari_tomodrgn.extract.lists.common import zxz_angles
from napari_tomodrgn.files import write_text, written_atomically
from napari_tomodrgn.geometry import matrix_to_euler
from napari_tomodrgn.synthetic.tilt_series.list_stars import (
    write_cryosparc,
    write_pytom_star,
    write_relion3,
    write_relion4_list,
    write_relion5_list,
    write_warp_list,
    write_warptools_list,
)
from napari_tomodrgn.synthetic.tilt_series.true_particles import TrueParticles


def write_stopgap(folder: Path, particles: TrueParticles) -> None:
    """``stopgap.star``: whole voxels and shifts."""
    names = (
        "motl_idx tomo_num object subtomo_num halfset orig_x orig_y orig_z score x_shift y_shift "
        "z_shift phi psi the class"
    ).split()
    lines = ["", "data_stopgap_motivelist", "", "loop_"] + [f"_{name}" for name in names]
    for index, (tomogram, number, whole, rest, (phi, the, psi)) in enumerate(particles.rows(), 1):
        place = " ".join(f"{value:.0f}" for value in whole)
        shift = " ".join(f"{value:.5f}" for value in rest)
        half = "AB"[index % 2]
        lines.append(
            f"{index} {tomogram} 1 {number} {half} {place} 0.5 {shift} {phi:.5f} {psi:.5f} "
            f"{the:.5f} 1"
        )
    write_text(folder / "stopgap.star", "\n".join(lines) + "\n\n")


def write_motl(folder: Path, particles: TrueParticles) -> None:
    """``motl.em`` of AV3."""
    values = np.zeros((len(particles.number), 20), np.float32)
    for row, (tomogram, number, whole, rest, (phi, the, psi)) in enumerate(particles.rows()):
        values[row, [3, 4]] = number, tomogram
        values[row, 7:10], values[row, 10:13] = whole, rest
        values[row, 16:19] = phi, psi, the
    head = bytearray(512)
    head[0], head[3] = 6, 5
    head[4:16] = np.array([20, len(values), 1], "<i4").tobytes()
    with written_atomically(folder / "motl.em") as temporary:
        temporary.write_bytes(bytes(head) + values.astype("<f4").tobytes())


def write_dynamo(folder: Path, particles: TrueParticles) -> None:
    """``dynamo.tbl``, whose tags count through all tomograms."""
    lines = []
    for tag, (tomogram, _, whole, rest, (phi, the, psi)) in enumerate(particles.rows(), 1):
        values = ["0"] * 35
        values[0], values[1], values[2], values[19] = str(tag), "1", "1", str(tomogram)
        values[3:6] = [f"{value:.5f}" for value in rest]
        values[6:9] = [f"{-angle:.5f}" for angle in (psi, the, phi)]
        values[23:26] = [f"{value:.0f}" for value in whole]
        lines.append(" ".join(values))
    write_text(folder / "dynamo.tbl", "\n".join(lines) + "\n")


def write_pytom(folder: Path, particles: TrueParticles) -> None:
    """``pytom.xml``, places in binned voxels from 0 with their binning."""
    parts = ["<ParticleList Path='/'>\n"]
    angles = zxz_angles(particles.rotations)
    rows = zip(particles.names, particles.number, particles.series_px, angles, strict=True)
    for name, number, place, (phi, the, psi) in rows:
        x, y, z = place / particles.binning
        parts.append(
            f'  <Particle Filename="Subtomograms/{name}/particle_{number}.em">\n'
            f'    <Rotation Z1="{phi:.5f}" Z2="{psi:.5f}" X="{the:.5f}"/>\n'
            '    <Shift X="0.0" Y="0.0" Z="0.0"/>\n'
            f'    <PickPosition Origin="tomograms/{name}.em" X="{x:.5f}" Y="{y:.5f}" '
            f'Z="{z:.5f}" Binning="{particles.binning:g}"/>\n'
            '    <Score Type="FLCFScore" Value="0.5"/>\n    <Class Name="0"/>\n  </Particle>\n'
        )
    write_text(folder / "pytom.xml", "".join(parts) + "</ParticleList>\n")


def write_csv(folder: Path, particles: TrueParticles) -> None:
    """``picks.csv`` with named columns, voxels from 0."""
    lines = ["tomogram,particle,x,y,z,rot,tilt,psi"]
    angles = matrix_to_euler(particles.rotations)
    for name, number, place, turned in zip(
        particles.names, particles.number, particles.voxels, angles, strict=True
    ):
        lines.append(f"{name},{number}," + ",".join(f"{v:.5f}" for v in (*place, *turned)))
    write_text(folder / "picks.csv", "\n".join(lines) + "\n")


def write_copick(folder: Path, particles: TrueParticles) -> None:
    """``copick_TS_001.json`` and so on: one file a tomogram, Å from the corner."""
    for name in dict.fromkeys(particles.names):
        points = []
        for row in np.flatnonzero([known == name for known in particles.names]):
            matrix = np.eye(4)
            matrix[:3, :3] = particles.rotations[row]
            x, y, z = (particles.voxels[row] * particles.voxel_size_angstrom).round(5).tolist()
            points.append(
                {"location": {"x": x, "y": y, "z": z}, "transformation_": matrix.tolist()}
            )
        picks = {
            "pickable_object_name": "ribosome",
            "run_name": name,
            "voxel_spacing": particles.voxel_size_angstrom,
            "unit": "angstrom",
            "points": points,
        }
        write_text(folder / f"copick_{name}.json", json.dumps(picks, indent=2) + "\n")


def write_emclarity(folder: Path, particles: TrueParticles) -> None:
    """``TS_001.csv`` and so on, 26 columns, unbinned places."""
    for name in dict.fromkeys(particles.names):
        lines = []
        for row in np.flatnonzero([known == name for known in particles.names]):
            values = np.zeros(26)
            values[3] = particles.number[row]
            values[10:13] = particles.series_px[row]
            values[16:25] = particles.rotations[row].T.ravel()
            lines.append(" ".join(f"{value:.6f}" for value in values))
        write_text(folder / f"{name}.csv", "\n".join(lines) + "\n")


def write_eman2_list(folder: Path, particles: TrueParticles) -> None:
    """``eman2.lst``: places in pixels from the middle, poses specimen → reference."""
    places = particles.centred_angstrom / particles.pixel_size_angstrom
    lines = [
        "#LSX",
        "# This file is in fast LST format.",
    ]
    for row, (name, number) in enumerate(zip(particles.names, particles.number, strict=True)):
        matrix = np.hstack([particles.rotations[row].T, np.zeros((3, 1))])
        said = {
            "ptcl_source_coord": places[row].round(5).tolist(),
            "ptcl_source_image": f"tomograms/{name}__bin4.hdf",
            "xform.align3d": {"__class__": "Transform", "matrix": matrix.ravel().tolist()},
        }
        lines.append(f"{number - 1}\tparticles3d/{name}__ribosome.hdf\t{json.dumps(said)}")
    write_text(folder / "eman2.lst", "\n".join(lines) + "\n")


LISTS: dict[str, Callable[[Path, TrueParticles], None]] = {
    "stopgap.star": write_stopgap,
    "motl.em": write_motl,
    "dynamo.tbl": write_dynamo,
    "pytom.xml": write_pytom,
    "pytom.star": write_pytom_star,
    "relion5.star": write_relion5_list,
    "relion4.star": write_relion4_list,
    "relion3.star": write_relion3,
    "warp.star": write_warp_list,
    "warptools.star": write_warptools_list,
    "cryosparc.star": write_cryosparc,
    "eman2.lst": write_eman2_list,
    "picks.csv": write_csv,
    "copick_TS_001.json": write_copick,
    "TS_001.csv": write_emclarity,
}
