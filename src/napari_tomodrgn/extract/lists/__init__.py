"""Lists of averaged particles, whichever package wrote them: one `ParticleList` comes out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.lists.common import ParticleList
from napari_tomodrgn.extract.lists.dynamo import read_dynamo
from napari_tomodrgn.extract.lists.em_motl import read_em_motl
from napari_tomodrgn.extract.lists.eman2 import read_eman2_list
from napari_tomodrgn.extract.lists.pytom import read_pytom
from napari_tomodrgn.extract.lists.stars import read_star_list
from napari_tomodrgn.extract.lists.tables import read_copick, read_csv_list

__all__ = ["READERS", "ParticleList", "read_list"]

READERS: dict[str, Callable[[Path], ParticleList]] = {
    ".star": read_star_list,
    ".em": read_em_motl,
    ".tbl": read_dynamo,
    ".xml": read_pytom,
    ".csv": read_csv_list,
    ".json": read_copick,
    ".lst": read_eman2_list,
}


def read_list(path: str | Path) -> ParticleList:
    """Read a list of particles; its ending says of which kind it is.

    Raises
    ------
    BadInputError
        If no list ends so, or it is damaged or empty.
    """
    path = Path(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise BadInputError(
            f"{path}: no list of particles ends in {path.suffix or 'nothing'}; known are "
            f"{', '.join(READERS)}.",
            remedy="Give it the ending of its kind.",
            code="unknown-list",
        )
    return reader(path).checked()
