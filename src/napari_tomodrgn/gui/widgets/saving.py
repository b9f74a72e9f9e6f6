"""Asks for a file to save to, and proposes a name that says what is in it."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_tomodrgn.column_labels import column_label
from napari_tomodrgn.file_names import as_file_name
from napari_tomodrgn.gui.widgets.recent_paths import export_folder
from napari_tomodrgn.particle_columns import SELECTIONS
from napari_tomodrgn.session import Session

# Where the user saved last, since the program was started: the next file mostly goes there, too.
_last_folder: list[Path] = []
# Endings by which one knows what is in a file; others, as in TS_1.tomostar_7, are part of a name.
_OF_FILES = frozenset(
    ".svg .png .pdf .eps .jpg .jpeg .tif .tiff .bmp .gif .mp4 .mov .avi .webm .mkv "
    ".mrc .map .star .csv .ply .stl .glb .gltf .obj .txt .html .json .npy .zip".split()
)


def ask_for_file(parent: QWidget, title: str, proposed: str, kinds: str) -> str:
    """Return the file that was chosen, with an ending of one of the kinds; empty for none.

    A name that ends as other files do is refused and asked for again: what is in the file would be
    something else.

    ``kinds`` are Qt's, such as ``Maps (*.mrc)``: that of ``proposed`` is the usual one. Its folder
    is where the first file goes; later ones where the last went. Qt's own function for it says
    "Look in:".
    """
    if _last_folder and _last_folder[0].is_dir():
        proposed = str(_last_folder[0] / Path(proposed).name)
    while path := _chosen(parent, title, proposed, kinds):
        if path.lower().endswith(_endings(kinds)):
            return path
        if (wrong := Path(path).suffix) not in _OF_FILES:
            return path + _usual(proposed)
        written = " or ".join(_endings(kinds))
        words = f"{Path(path).name}: this is written as {written}, not as {wrong}."
        QMessageBox.warning(parent, "Not saved", f"{words} Choose a name that ends so.")
        proposed = str(Path(path).with_suffix(_usual(proposed)))
    return ""


def _chosen(parent: QWidget, title: str, proposed: str, kinds: str) -> str:
    dialog = saving_dialog(parent, title, proposed, kinds)
    try:
        path = dialog.selectedFiles()[0] if dialog.exec() else ""
    finally:
        dialog.deleteLater()
    if path:
        _last_folder[:] = [Path(path).parent]
    return path


def ask_for_new_folder(parent: QWidget, title: str, base: Path, name: str) -> str:
    """Return a folder that is made for what is written, in one that is chosen; empty for none.

    It is called ``name``, and numbered where that is there: nothing is ever written over. ``base``
    is where the first choice begins; later ones where something was saved last.
    """
    start = _last_folder[0] if _last_folder and _last_folder[0].is_dir() else base
    chosen = QFileDialog.getExistingDirectory(
        parent, f"{title}: choose where to put it", str(start)
    )
    if not chosen:
        return ""
    _last_folder[:] = [Path(chosen)]
    names = (name if number == 1 else f"{name}_{number}" for number in count(1))
    return str(next(one for one in (Path(chosen, name) for name in names) if not one.exists()))


def ask_for_comparison(parent: QWidget, session: Session) -> str:
    """Ask where the folder with all maps of the comparison is made."""
    name = name_of_comparison(session)
    return ask_for_new_folder(parent, f"Folder {name}", export_folder(session.source), name)


def ask_for_report(parent: QWidget, session: Session) -> str:
    """Ask where the page of the run is written."""
    proposed = str(export_folder(session.source) / "report.html")
    return ask_for_file(parent, "Save the report", proposed, "Pages (*.html)")


def kind_of_list(session: Session) -> str:
    """The ending of the list whose rows are written beside a star file; empty where none are."""
    if session.particles is None:
        return ""
    from napari_tomodrgn.extract.way_back import list_name_of

    return Path(list_name_of(session.particles)).suffix


def saving_dialog(parent: QWidget, title: str, proposed: str, kinds: str) -> QFileDialog:
    """Make the dialog of `ask_for_file`."""
    dialog = QFileDialog(parent, title, proposed, kinds)
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setFileMode(QFileDialog.FileMode.AnyFile)
    dialog.setLabelText(QFileDialog.DialogLabel.LookIn, "Save in:")
    dialog.setDefaultSuffix(_usual(proposed))
    dialog.selectFile(proposed)
    return dialog


def _endings(kinds: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\*(\.\w+)", kinds))


def _usual(proposed: str) -> str:
    return Path(proposed).suffix


def name_of_picture(session: Session) -> str:
    """Name a picture of the canvas after what it shows."""
    if shows_comparison(session):
        return f"{name_of_comparison(session)}.png"
    if session.canvas_mode == "tomogram" and session.tomogram:
        return f"{_as_file(session.tomogram)}.png"
    return f"{name_of_map(session)}.png"


def shows_comparison(session: Session) -> bool:
    """Whether the canvas shows two groups, and no map of a particle."""
    return session.canvas_mode == "comparison" and session.comparison is not None


def name_of_comparison(session: Session) -> str:
    """Name what is written of two groups after both."""
    compared = session.comparison
    return _as_file(" vs ".join(compared.names)) if compared is not None else "comparison"


def words_for_maps(session: Session) -> str:
    """Say whose map is saved now: what the canvas shows, or what it would show."""
    if shows_comparison(session):
        return "Maps of A, B and A − B"
    made = ", from images" if made_from_images(session) else ""
    shown = session.canvas_mode == "particle"
    return f"Map on show{made}" if shown else f"Map of the particle in focus{made}"


def made_from_images(session: Session) -> bool:
    """Whether the map in focus is made from images, and not decoded."""
    decoded = session.decoded
    return decoded is not None and decoded.effective_particles is not None


def words_for_classes(session: Session) -> str:
    """Say what one class of the colours is called; empty where nothing is classes."""
    column = session.color_column
    if column is None or not column.categorical or session.latents is None:
        return ""
    return "named selection" if column.name == SELECTIONS else column_label(column.name)


def name_of_classes(session: Session) -> str:
    """Name the folder for the maps of all classes, which are decoded whatever is on show."""
    made = "decoded maps" if session.map_source == "images" else "maps"
    return _as_file(f"{made} of {words_for_classes(session)}")


def name_of_map(session: Session) -> str:
    """Name the map on show after its particle, the class that this stands for, how it was made."""
    shown = session.decoded
    made = " from images" if made_from_images(session) else ""
    if shown is None or not shown.particle_id:
        return _as_file(f"map{made}")
    identity, name = session.class_map or ("", "")
    who = shown.particle_id
    return _as_file((f"{name} {who}" if identity == who else who) + made)


def name_of_particles(session: Session) -> str:
    """Name the selected particles after their selection or their category; else what they are."""
    chosen = session.selection
    if not chosen:
        return "all"
    named = (one.name for one in session.selections if frozenset(one.particles) == chosen)
    if name := next(named, ""):
        return _as_file(name)
    identities, how = session.selected_by or (frozenset(), ())
    if identities == chosen and len(how) == 1 and how[0].verb == "category" and not how[0].options:
        return _as_file(" ".join(str(part) for part in how[0].arguments))
    return "selected"


def _as_file(name: str) -> str:
    """Return the name with underscores for what file systems and star files do not like."""
    return as_file_name(name).strip("_") or "unnamed"
