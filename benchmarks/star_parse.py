"""Rows a second and peak memory of reading a star file, beside a bare pandas.read_csv.

Run with ``python benchmarks/star_parse.py [ROWS]`` (default 1,000,000 rows of 17 columns, 155 MB).
The ratio is against pandas reading the same loop as text, in the same process.
"""

from __future__ import annotations

import io
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from napari_tomodrgn.data.star import read_star, write_star

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
            particle, tilt = divmod(i, 40)
            out.write(
                f"{tilt + 1}@data/stack_{particle:06d}.mrcs 13.1 {30000 + a:.3f} {30000 + b:.3f} "
                f"0.0 300.0 2.7 0.1 90.0 {a:.6f} {b:.6f} {c:.6f} {d:.6f} {e:.6f} "
                f"{-4.0 * tilt} 0.9986295 000_{particle:06d}\n"
            )


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
        before = peak_gb()
        started = time.perf_counter()
        blocks = read_star(path)
        ours = time.perf_counter() - started
        memory = peak_gb()
        loop = path.read_text().split(f"#{len(COLUMNS)}\n")[1]
        started = time.perf_counter()
        frame = pd.read_csv(io.StringIO(loop), sep=" ", header=None, dtype=str, na_filter=False)
        pandas = time.perf_counter() - started
        same = bool((frame.to_numpy() == blocks[""].to_numpy()).all())
        started = time.perf_counter()
        write_star(Path(folder) / "copy.star", blocks)
        written = time.perf_counter() - started
    print(f"read_star        {rows} rows x {len(COLUMNS)} columns")
    print(f"  time           {ours:.2f} s   {rows / ours:,.0f} rows/s")
    print(f"  peak memory    {memory:.2f} GB (before: {before:.2f} GB)")
    print(f"pandas.read_csv  {pandas:.2f} s   text equal: {same}")
    print(f"ratio            {ours / pandas:.2f} of the time of pandas.read_csv")
    print(f"write_star       {written:.2f} s   {rows / written:,.0f} rows/s")


if __name__ == "__main__":
    main()
