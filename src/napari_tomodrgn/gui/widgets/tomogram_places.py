"""Where the tomograms of a data set are, as its user said: kept for that set and no other.

Folders, names and files of the tomograms of one set say nothing about those of another.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.widgets.stored_settings import load_setting, save_setting
from napari_tomodrgn.session import Session

_FOLDER, _PATTERN, _CHOSEN = "tomogram folder", "tomogram pattern", "tomogram files"


@dataclass(frozen=True)
class TomogramPlaces:
    """What was said of the tomograms of a data set; what is empty was left to the program.

    Attributes
    ----------
    folder, pattern
        Where they are, and how their files are called.
    chosen
        Files that were chosen one by one, by name of the tomogram.
    """

    folder: str = ""
    pattern: str = ""
    chosen: Mapping[str, Path] = field(default_factory=dict)


def data_set_of(session: Session) -> Path | None:
    """The star file that what is open began with, through however many runs.

    So what is said of a set holds for its runs, and the other way round. Of a run that came without
    such a path it is the star file in it.
    """
    chain = star_files_of(session)
    return chain[-1] if chain else None


def star_files_of(session: Session) -> list[Path]:
    """The star file that what is open was made of, then those that this was a run's copy of."""
    particles, run = session.particles, session.run
    if run is not None and Path(run.info.source).is_absolute():
        chain = [Path(run.info.source)]
    elif particles is not None:
        chain = [particles.source.path.resolve()]
    else:
        return []
    while (before := _copied_from(chain[-1])) is not None and before not in chain:
        chain.append(before)
    return chain


def _copied_from(star: Path) -> Path | None:
    """What a run was trained on, of the star file in its folder; None of any other, or unknown."""
    from napari_tomodrgn.learn.run.directory import Run

    try:
        run = Run.open(star.parent)
    except BadInputError:
        return None
    source = Path(run.info.source)
    return source if run.particles_star == star and source.is_absolute() else None


def load_places(data_set: Path) -> TomogramPlaces:
    """What was kept for a data set; whatever else stands in the file of settings is left out."""
    try:
        chosen = json.loads(load_setting(_CHOSEN, data_set) or "{}")
    except ValueError:
        chosen = {}
    named = chosen.items() if isinstance(chosen, dict) else ()
    files = {name: Path(path) for name, path in named if isinstance(path, str)}
    return TomogramPlaces(load_setting(_FOLDER, data_set), load_setting(_PATTERN, data_set), files)


def save_places(data_set: Path, places: TomogramPlaces) -> None:
    """Keep what was said of a data set, in place of what was said of it before."""
    chosen = {name: str(path) for name, path in places.chosen.items()}
    save_setting(_FOLDER, data_set, places.folder)
    save_setting(_PATTERN, data_set, places.pattern)
    save_setting(_CHOSEN, data_set, json.dumps(chosen) if chosen else "")
