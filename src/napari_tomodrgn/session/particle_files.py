"""Chosen particles as files: a star file, and the list that they were extracted by."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from napari_tomodrgn.data.particles import ParticleSet


def write_particles(
    particles: ParticleSet,
    chosen: Collection[str],
    path: str | Path,
    added_columns: pd.DataFrame | None,
) -> str:
    """Write the chosen particles, or all where none is chosen, as the program reads them.

    The star file has the columns that were added; of extracted particles the list that they came
    from is written beside it, see `extract.way_back.write_list_back`.

    Returns
    -------
    The sentence about what was written.
    """
    from napari_tomodrgn.data.dialects import write_subset
    from napari_tomodrgn.extract.way_back import write_list_back

    kept = particles.select(sorted(chosen)) if chosen else particles
    written = write_subset(kept, path, added_columns)
    listed = write_list_back(kept, Path(path))
    count = 0 if added_columns is None else len(added_columns.columns)
    columns = f" with {count} more column{'s' if count > 1 else ''}" if count else ""
    # What is to be opened first, where it is last: a banner cuts the end off.
    names = written.name
    if written.name != Path(path).name:
        names = f"{written.name} (the one to open in RELION or Warp) and {Path(path).name}"
    if listed is not None:
        names = f"{listed.name} (their list) and {names}"
    return f"{names} written: {len(kept):,} particles{columns}, in {written.parent}."
