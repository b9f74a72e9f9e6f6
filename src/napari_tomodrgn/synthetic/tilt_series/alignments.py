"""One true alignment in the form of each program."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from napari_tomodrgn.files import write_text
from napari_tomodrgn.synthetic.tilt_series.truth import FloatArray, TrueSeries


def write_imod(folder: Path, series: TrueSeries) -> None:
    """``.xf``, ``.tlt``, ``tilt.com``: rows ``A = R2(−a)``, ``d = −A s``."""
    angle = np.deg2rad(series.axis_deg)
    cos, sin = np.cos(angle), np.sin(angle)
    matrices = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], axis=1)
    moved = -np.einsum("tij,tj->ti", matrices, series.shifts_px("(n-1)/2"))
    rows = np.concatenate([matrices.reshape(-1, 4), moved], axis=1)
    lines = [
        "".join(f"{v:12.7f}" for v in row[:4]) + f"{row[4]:12.3f}{row[5]:12.3f}" for row in rows
    ]
    write_text(folder / f"{series.name}.xf", "\n".join(lines) + "\n")
    write_text(folder / f"{series.name}.tlt", _column(series.tilt_deg))
    x, y, z = series.volume_size_px
    command = (
        "$setenv IMOD_OUTPUT_FORMAT MRC\n$tilt -StandardInput\n"
        f"InputProjections {series.name}_ali.mrc\nOutputFile {series.name}_full_rec.mrc\n"
        f"IMAGEBINNED 1\nTILTFILE {series.name}.tlt\nTHICKNESS {z}\nXAXISTILT 0.0\n"
        f"FULLIMAGE {x} {y}\nOFFSET 0.0\nSHIFT 0.0 0.0\n"
    )
    write_text(folder / f"{series.name}_tilt.com", command)


def _column(values: FloatArray) -> str:
    return "".join(f"{value:7.2f}\n" for value in values)


def write_aretomo(folder: Path, series: TrueSeries, first: int = 1) -> None:
    """``.aln``, its sections counted from ``first``: 1 since 2.0.10, 0 before."""
    nx, ny = series.image_size_px
    lines = [
        "# AreTomo Alignment / Priims bprmMn ",
        f"# RawSize = {nx} {ny} {len(series.tilt_deg)}",
        "# NumPatches = 0",
        "# AlphaOffset =     0.00",
        "# BetaOffset =     0.00",
        "# SEC     ROT         GMAG       TX          TY      SMEAN     SFIT    SCALE     BASE     "
        "TILT",
    ]
    shifts = series.shifts_px("n/2")
    for row, (axis, shift, tilt) in enumerate(
        zip(series.axis_deg, shifts, series.tilt_deg, strict=True)
    ):
        lines.append(
            f"{row + first:5d}  {axis:9.4f}  {1.0:9.5f}  {shift[0]:9.3f}  {shift[1]:9.3f}  "
            f"{1.0:7.2f}  {1.0:7.2f}  {1.0:7.2f}  {0.0:7.2f}  {tilt:8.2f}"
        )
    write_text(folder / f"{series.name}.aln", "\n".join(lines) + "\n")


def write_aretomo_old(folder: Path, series: TrueSeries) -> None:
    """``.aln`` of versions before 2.0.10."""
    write_aretomo(folder, series, first=0)


def write_warp(folder: Path, series: TrueSeries) -> None:
    """XML of Warp, with levels that the angles take back, and the defocus in µm."""
    shifts = series.shifts_px("n/2") * series.pixel_size_angstrom
    level = 1.25
    dose = series.order * series.dose_per_tilt
    lists = {
        "Angles": [f"{-angle - level:.4f}" for angle in series.tilt_deg],
        "Dose": [f"{value:g}" for value in dose],
        "UseTilt": ["True"] * len(dose),
        "AxisAngle": [f"{angle:.6f}" for angle in series.axis_deg],
        "AxisOffsetX": [f"{value:.5f}" for value in shifts[:, 0]],
        "AxisOffsetY": [f"{value:.5f}" for value in shifts[:, 1]],
    }
    mean = (series.defocus_u_angstrom + series.defocus_v_angstrom) / 2 * 1e-4
    delta = (series.defocus_u_angstrom - series.defocus_v_angstrom) * 1e-4
    grids = {
        "GridCTF": mean,
        "GridCTFDefocusDelta": delta,
        "GridCTFDefocusAngle": series.defocus_angle_deg,
    }
    body = "".join(
        f"\t<{name}>" + "\n".join(words) + f"</{name}>\n" for name, words in lists.items()
    )
    parameters = {"Voltage": 300.0, "Cs": 2.7, "Amplitude": 0.07, "PhaseShift": 0}
    body += "\t<CTF>\n"
    body += "".join(f'\t\t<Param Name="{k}" Value="{v}" />\n' for k, v in parameters.items())
    body += "\t</CTF>\n" + "".join(_grid(name, values) for name, values in grids.items())
    text = (
        '<?xml version="1.0" encoding="utf-16"?>\n'
        f'<TiltSeries AreAnglesInverted="False" LevelAngleX="0" LevelAngleY="{level}">\n{body}'
        "</TiltSeries>\n"
    )
    path = folder / f"{series.name}.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-16"))


def _grid(name: str, values: FloatArray) -> str:
    nodes = "".join(
        f'\t\t<Node X="0" Y="0" Z="{z}" Value="{value:.8g}" />\n' for z, value in enumerate(values)
    )
    return f'\t<{name} Width="1" Height="1" Depth="{len(values)}">\n{nodes}\t</{name}>\n'


def write_relion5(folder: Path, series: TrueSeries) -> None:
    """One star a tilt series, and its row of the tomograms star (added to what is there)."""
    shifts = series.shifts_px("n//2") * series.pixel_size_angstrom
    columns = {
        "rlnTomoXTilt": np.zeros(len(series.tilt_deg)),
        "rlnTomoYTilt": series.tilt_deg,
        "rlnTomoZRot": series.axis_deg,
        "rlnTomoXShiftAngst": shifts[:, 0],
        "rlnTomoYShiftAngst": shifts[:, 1],
        **_contrast_columns(series),
    }
    _write_loop(folder / "tilt_series" / f"{series.name}.star", series.name, columns)
    overview = {
        **_overview(series),
        "rlnTomoTiltSeriesStarFile": f"tilt_series/{series.name}.star",
    }
    _add_rows(folder / "tomograms.star", "global", overview)


def write_relion4(folder: Path, series: TrueSeries) -> None:
    """A block of matrices in the tomograms star (added to what is there)."""
    rows = {}
    for row, axis in enumerate("XYZ"):
        last = (
            series.corner_px[:, row]
            if row < 2
            else -np.einsum("tj,j->t", series.rotations[:, 2], np.array(series.volume_size_px) / 2)
        )
        rows[f"rlnTomoProj{axis}"] = [
            "[" + ",".join(f"{value:.9g}" for value in (*matrix[row], end)) + "]"
            for matrix, end in zip(series.rotations, last, strict=True)
        ]
    _add_rows(folder / "tomograms.star", "global", _overview(series))
    path = folder / "tomograms.star"
    write_text(path, path.read_text() + _loop(series.name, {**rows, **_contrast_columns(series)}))


def _contrast_columns(series: TrueSeries) -> dict[str, object]:
    return {
        "rlnDefocusU": series.defocus_u_angstrom,
        "rlnDefocusV": series.defocus_v_angstrom,
        "rlnDefocusAngle": series.defocus_angle_deg,
        "rlnMicrographPreExposure": series.order * series.dose_per_tilt,
    }


def _overview(series: TrueSeries) -> dict[str, object]:
    x, y, z = series.volume_size_px
    return {
        "rlnTomoName": series.name,
        "rlnVoltage": 300.0,
        "rlnSphericalAberration": 2.7,
        "rlnAmplitudeContrast": 0.07,
        "rlnTomoHand": 1.0,
        "rlnTomoTiltSeriesPixelSize": series.pixel_size_angstrom,
        "rlnTomoSizeX": x,
        "rlnTomoSizeY": y,
        "rlnTomoSizeZ": z,
    }


def _loop(block: str, columns: dict[str, object]) -> str:
    heads = "".join(f"_{name} #{n}\n" for n, name in enumerate(columns, 1))
    rows = zip(*(list(values) for values in columns.values()), strict=True)  # type: ignore[call-overload]
    body = "".join(
        " ".join(f"{v:.6f}" if isinstance(v, float) else str(v) for v in row) + "\n" for row in rows
    )
    return f"\ndata_{block}\n\nloop_\n{heads}{body}\n"


def _write_loop(path: Path, block: str, columns: dict[str, object]) -> None:
    write_text(path, _loop(block, columns))


def _add_rows(path: Path, block: str, row: dict[str, object]) -> None:
    """Start a star with one row, or put the row behind those of its first block."""
    if not path.exists():
        write_text(path, _loop(block, {name: [value] for name, value in row.items()}))
        return
    head, _, rest = path.read_text().partition("\n\ndata_TS")
    new = _loop(block, {name: [value] for name, value in row.items()}).splitlines()
    last = next(line for line in reversed(new) if line.strip())
    text = head.rstrip("\n") + "\n" + last + "\n\n"
    write_text(path, text + (f"\ndata_TS{rest}" if rest else ""))


def write_eman2(folder: Path, series: TrueSeries) -> None:
    """``NAME_info.json`` with tlt_params."""
    shifts = series.shifts_px("n//2")
    zero = np.zeros(len(series.tilt_deg))
    rows = np.stack([shifts[:, 0], shifts[:, 1], -series.axis_deg, -series.tilt_deg, zero], axis=1)
    info = {"apix_unbin": series.pixel_size_angstrom, "tlt_params": rows.round(6).tolist()}
    write_text(folder / f"{series.name}_info.json", json.dumps(info, indent=1) + "\n")


FORMS: dict[str, Callable[[Path, TrueSeries], None]] = {
    "imod": write_imod,
    "aretomo": write_aretomo,
    "aretomo_old": write_aretomo_old,
    "warp": write_warp,
    "relion4": write_relion4,
    "relion5": write_relion5,
    "eman2": write_eman2,
}
