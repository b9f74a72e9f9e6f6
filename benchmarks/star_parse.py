"""Rows a second and peak memory of reading and checking a star file, beside pandas.read_csv.

Run with ``python benchmarks/star_parse.py [ROWS]`` (default 1,000,000 rows of 17 columns, 155 MB,
40 to a particle, a stack for each particle). Checks are those of files and numbers: every header is
read, every value looked at. The ratio is against pandas reading the same loop as text, in the same
process.
"""

from __future__ import annotations

import io
import resource
import sys
import tempfile
import time
from pathlib import Path

import mrcfile.dtypes
import numpy as np
import pandas as pd

from napari_tomodrgn.data.checks import file_checks
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.star import read_star, write_star

BOX = 64
TILTS = 40
COLUMNS = (
    "ImageName DetectorPixelSize DefocusU DefocusV DefocusAngle Voltage SphericalAberration "
    "AmplitudeContrast PhaseShift AngleRot AngleTilt AnglePsi OriginX OriginY CtfBfactor "
    "CtfScalefactor GroupName"
).split()


def write_example(path: Path, rows: int) -> None:
    """A cryoSRPNT star of ``rows`` images, 40 to a particle."""
    rng = np.random.default_rng(0)
    with open(path, "w") as out:
        out.write("\ndata_\n\nloop_\n")
        out.writelines(f"_rln{name} #{i}\n" for i, name in enumerate(COLUMNS, 1))
        for i, (a, b, c, d, e) in enumerate(rng.uniform(-180, 180, (rows, 5)).tolist()):
            particle, tilt = divmod(i, TILTS)
            out.write(
                f"{tilt + 1}@data/stack_{particle:06d}.mrcs 13.1 {30000 + a:.3f} {30000 + b:.3f} "
                f"0.0 300.0 2.7 0.1 90.0 {a:.6f} {b:.6f} {c:.6f} {d / 99:.6f} {e / 99:.6f} "
                f"{-12.0 * tilt} {np.cos(np.deg2rad(1.5 * tilt)):.7f} 000_{particle:06d}\n"
            )


def write_stacks(folder: Path, count: int) -> None:
    """Stacks of the right size: a header each, and a hole in the file instead of images."""
    folder.mkdir()
    header = mrcfile.dtypes.HEADER_DTYPE.newbyteorder("<")
    record = np.zeros(1, header)
    record["nx"], record["ny"], record["nz"], record["mode"] = BOX, BOX, TILTS, 12
    record["mx"], record["my"], record["mz"] = BOX, BOX, TILTS
    record["cella"] = (13.1 * BOX, 13.1 * BOX, 13.1 * TILTS)
    for number in range(count):
        with open(folder / f"stack_{number:06d}.mrcs", "wb") as stack:
            stack.write(record.tobytes())
            stack.truncate(1024 + TILTS * BOX * BOX * 2)


def peak_gb() -> float:
    """Most memory that this process has held so far."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / 1e6 if sys.platform != "darwin" else kilobytes / 1e9


def main() -> None:
    """Measure and print."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "example.star"
        write_example(path, rows)
        write_stacks(path.parent / "data", -(-rows // TILTS))
        before = peak_gb()
        started = time.perf_counter()
        blocks = read_star(path)
        ours = time.perf_counter() - started
        parsed = peak_gb()
        started = time.perf_counter()
        write_star(Path(folder) / "copy.star", blocks)
        written = time.perf_counter() - started
        blocks.clear()
        checked = check(path)
        pandas, same = pandas_for_comparison(path)
    print(f"read_star        {rows} rows x {len(COLUMNS)} columns")
    print(f"  time           {ours:.2f} s   {rows / ours:,.0f} rows/s")
    print(f"  peak memory    {parsed:.2f} GB (before: {before:.2f} GB)")
    print(f"pandas.read_csv  {pandas:.2f} s   text equal: {same}")
    print(f"ratio            {ours / pandas:.2f} of the time of pandas.read_csv")
    print(f"write_star       {written:.2f} s   {rows / written:,.0f} rows/s")
    print(checked)


def check(path: Path) -> str:
    """Read the set behind a star file and ask all that its files and numbers tell."""
    started = time.perf_counter()
    particles = read_particles(path)
    read = time.perf_counter() - started
    started = time.perf_counter()
    answers = file_checks(particles)
    asked = time.perf_counter() - started
    wrong = [each.code for each in answers if each.verdict != "ok"]
    counts = f"{len(particles)} particles, {len(particles.images)} images"
    return (
        f"read_particles   {read:.2f} s   {counts}"
        f"\nfile_checks      {asked:.2f} s   {len(answers)} checks, not ok: {wrong}"
        f"\npreflight        {read + asked:.2f} s   besides the reconstruction"
        f"\n  peak memory    {peak_gb():.2f} GB"
    )


def pandas_for_comparison(path: Path) -> tuple[float, bool]:
    """Seconds of pandas for the loop as text, and whether the text is the same."""
    loop = path.read_text().split(f"#{len(COLUMNS)}\n")[1]
    started = time.perf_counter()
    frame = pd.read_csv(io.StringIO(loop), sep=" ", header=None, dtype=str, na_filter=False)
    seconds = time.perf_counter() - started
    return seconds, bool((frame.to_numpy() == read_star(path)[""].to_numpy()).all())


if __name__ == "__main__":
    main()
