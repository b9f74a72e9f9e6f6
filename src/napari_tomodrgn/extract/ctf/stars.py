"""Estimates in the tomograms stars of RELION and in the XML of Warp."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_tomodrgn.extract.alignments.relion import read_series
from napari_tomodrgn.extract.alignments.warp_xml import read_warp_series
from napari_tomodrgn.extract.ctf.common import TiltContrast

_ANGSTROM_PER_MICROMETRE = 1e4
_DEG_PER_PI = 180.0


def read_relion_contrast(path: Path, name: str) -> TiltContrast:
    """The defocus of each tilt of a tomogram in a tomograms star.

    Raises
    ------
    BadInputError
        If columns are missing.
    """
    row = read_series(path, name)
    tilts, hand = row.tilts, row.value("rlnTomoHand")
    return TiltContrast(
        path=tilts.path,
        defocus_u_angstrom=tilts.numbers("rlnDefocusU"),
        defocus_v_angstrom=tilts.numbers("rlnDefocusV"),
        defocus_angle_deg=tilts.numbers("rlnDefocusAngle"),
        phase_shift_deg=tilts.numbers("rlnPhaseShift", 0.0),
        hand=None if hand is None else float(np.sign(hand)),
        voltage_kv=row.value("rlnVoltage"),
        spherical_aberration_mm=row.value("rlnSphericalAberration"),
        amplitude_contrast=row.value("rlnAmplitudeContrast"),
    )


def read_warp_contrast(path: Path) -> TiltContrast:
    """Defocus (µm), astigmatism and phase (in units of π) of the grids of an XML.

    Raises
    ------
    BadInputError
        If it is damaged.
    """
    series = read_warp_series(path)
    count = len(series.words("Angles"))
    mean, delta, angle, phase = (
        series.grid(name).along_z(count)
        for name in ("GridCTF", "GridCTFDefocusDelta", "GridCTFDefocusAngle", "GridCTFPhase")
    )
    # A delta is the whole difference: U − V.
    u, v = (mean + delta / 2, mean - delta / 2)
    return TiltContrast(
        path=path,
        # A series whose CTF was not estimated yet has zeros.
        defocus_u_angstrom=np.where(mean == 0, np.nan, u * _ANGSTROM_PER_MICROMETRE),
        defocus_v_angstrom=np.where(mean == 0, np.nan, v * _ANGSTROM_PER_MICROMETRE),
        defocus_angle_deg=angle,
        phase_shift_deg=phase * _DEG_PER_PI,
        hand=-1.0 if series.flag("AreAnglesInverted") else 1.0,
        voltage_kv=series.parameter("Voltage"),
        spherical_aberration_mm=series.parameter("Cs"),
        amplitude_contrast=series.parameter("Amplitude"),
    )
