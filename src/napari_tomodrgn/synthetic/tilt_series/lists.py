"""The same particles in the list of each averaging package."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.extract.lists.common import zxz_angles
from napari_tomodrgn.files import write_text, written_atomically
from napari_tomodrgn.geometry import matrix_to_euler

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrueParticles:
    """Particles of several tomograms, one entry a particle, together by tomogram.

    Attributes
    ----------
    tomogram
        Number of each particle's tomogram, from 1; it is called ``TS_001`` and so on.
    number
        Of the particle within its tomogram, from 1.
    voxels
        Place in voxels of the binned tomogram, from 0, ``(particle, 3)`` xyz.
    centred_angstrom
        Place from the middle of the tomogram as RELION counts it.
    series_px
        Place in unbinned voxels, from 0.
    voxel_size_angstrom, binning
        Of the binned tomogram.
    rotations
        Reference → specimen.
    """

    tomogram: NDArray[np.int64]
    number: NDArray[np.int64]
    voxels: FloatArray
    centred_angstrom: FloatArray
    series_px: FloatArray
    voxel_size_angstrom: float
    binning: float
    rotations: FloatArray

    @property
    def names(self) -> list[str]:
        """Of each particle's tomogram."""
        return [f"TS_{number:03d}" for number in self.tomogram]

    def rows(self) -> Iterator[tuple[int, int, FloatArray, FloatArray, FloatArray]]:
        """Tomogram, number, place split into whole voxels from 1 and the rest, phi, the, psi."""
        whole = np.rint(self.voxels + 1)
        return zip(
            self.tomogram.tolist(),
            self.number.tolist(),
            whole,
            self.voxels + 1 - whole,
            zxz_angles(self.rotations),
            strict=True,
        )


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


def write_relion5_list(folder: Path, particles: TrueParticles) -> None:
    """``relion5.star``, as refined without 2-D stacks: places in Å from the middle."""
    names = ["rlnTomoName", "rlnTomoParticleId"]
    names += [f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ"]
    names += [f"rlnAngle{name}" for name in ("Rot", "Tilt", "Psi")]
    rows = [
        f"{name} {number} " + " ".join(f"{v:.5f}" for v in (*place, *angles))
        for name, number, place, angles in zip(
            particles.names,
            particles.number,
            particles.centred_angstrom,
            matrix_to_euler(particles.rotations),
            strict=True,
        )
    ]
    head = "".join(f"_{name} #{n}\n" for n, name in enumerate(names, 1))
    write_text(
        folder / "relion5.star", f"\ndata_particles\n\nloop_\n{head}" + "\n".join(rows) + "\n\n"
    )


def write_relion3(folder: Path, particles: TrueParticles) -> None:
    """``relion3.star``: voxels of the binned tomogram, as pytom-match-pick and RELION 3 write."""
    names = ["rlnMicrographName", *(f"rlnCoordinate{axis}" for axis in "XYZ")]
    names += [f"rlnAngle{name}" for name in ("Rot", "Tilt", "Psi")]
    names += ["rlnDetectorPixelSize"]
    rows = [
        f"{name}.mrc "
        + " ".join(f"{v:.5f}" for v in (*place, *angles))
        + f" {particles.voxel_size_angstrom:g}"
        for name, place, angles in zip(
            particles.names, particles.voxels, matrix_to_euler(particles.rotations), strict=True
        )
    ]
    head = "".join(f"_{name} #{n}\n" for n, name in enumerate(names, 1))
    write_text(folder / "relion3.star", f"\ndata_\n\nloop_\n{head}" + "\n".join(rows) + "\n\n")


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


LISTS: dict[str, Callable[[Path, TrueParticles], None]] = {
    "stopgap.star": write_stopgap,
    "motl.em": write_motl,
    "dynamo.tbl": write_dynamo,
    "pytom.xml": write_pytom,
    "relion5.star": write_relion5_list,
    "relion3.star": write_relion3,
    "picks.csv": write_csv,
    "copick_TS_001.json": write_copick,
    "TS_001.csv": write_emclarity,
}
