"""The same CTF and doses in the files of each program."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from napari_tomodrgn.files import write_text
from napari_tomodrgn.synthetic.tilt_series.truth import TrueSeries

_BEGUN = datetime(2021, 10, 8, 7, 39, 8)


def write_ctffind(folder: Path, series: TrueSeries) -> None:
    """``NAME_ctffind4.txt``."""
    head = [
        "# Output from CTFFind version 4.1.14, run on 2021-10-08 10:24:01",
        f"# Input file: {series.name}.st ; Number of micrographs: {len(series.order)}",
        "# Pixel size: 2.000 Angstroms ; acceleration voltage: 300.0 keV ; spherical aberration: "
        "2.70 mm ; amplitude contrast: 0.07",
        "# Box size: 512 pixels ; min. res.: 30.0 Angstroms ; max. res.: 5.0 Angstroms",
        "# Columns: #1 - micrograph number; #2 - defocus 1 [Angstroms]; #3 - defocus 2",
    ]
    rows = [
        f"{row + 1:.6f} {u:.6f} {v:.6f} {angle:.6f} 0.000000 0.100000 12.000000"
        for row, (u, v, angle) in enumerate(_defoci(series))
    ]
    write_text(folder / f"{series.name}_ctffind4.txt", "\n".join(head + rows) + "\n")


def write_aretomo_ctf(folder: Path, series: TrueSeries) -> None:
    """``NAME_CTF.txt``, with the hand as an eighth column."""
    head = ["# Columns: #1 micrograph number; #2 - defocus 1 [A]; #3 - defocus 2"]
    rows = [
        f"{row + 1:4d}   {u:.2f}  {v:.2f}   {angle:7.2f}   {0:7.2f}   0.1000   11.0736   1"
        for row, (u, v, angle) in enumerate(_defoci(series))
    ]
    write_text(folder / f"{series.name}_CTF.txt", "\n".join(head + rows) + "\n")


def write_imod_ctf(folder: Path, series: TrueSeries) -> None:
    """``NAME.defocus`` with astigmatism (flag 1), nm."""
    rows = ["1  0 0. 0. 0  3"]
    for row, (u, v, angle) in enumerate(_defoci(series)):
        tilt = series.tilt_deg[row]
        rows.append(
            f"{row + 1}\t{row + 1}\t{tilt:.2f}\t{tilt:.2f}\t{u / 10:.2f}\t{v / 10:.2f}\t{angle:.2f}"
        )
    write_text(folder / f"{series.name}.defocus", "\n".join(rows) + "\n")


def _defoci(series: TrueSeries) -> list[tuple[float, float, float]]:
    columns = (series.defocus_u_angstrom, series.defocus_v_angstrom, series.defocus_angle_deg)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def write_mdoc(folder: Path, series: TrueSeries) -> None:
    """``NAME.mrc.mdoc``: sorted by tilt, the order in the times alone."""
    lines = [
        f"PixelSpacing = {series.pixel_size_angstrom:g}",
        "Voltage = 300",
        f"ImageFile = {series.name}.mrc",
        f"ImageSize = {series.image_size_px[0]} {series.image_size_px[1]}",
        "DataMode = 2",
        "",
        "[T = SerialEM: simulated]",
        "",
    ]
    for section, (tilt, when) in enumerate(zip(series.tilt_deg, series.order, strict=True)):
        taken = _BEGUN + timedelta(seconds=75 * int(when))
        lines += [
            f"[ZValue = {section}]",
            f"TiltAngle = {tilt:.3f}",
            f"ExposureDose = {series.dose_per_tilt:g}",
            f"DateTime = {taken:%d-%b-%y  %H:%M:%S}",
            "",
        ]
    write_text(folder / f"{series.name}.mrc.mdoc", "\n".join(lines))
