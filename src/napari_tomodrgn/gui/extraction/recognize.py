"""Which files are lists of averaged particles, told by their endings and heads."""

from __future__ import annotations

from pathlib import Path

_LOOK_AT_BYTES = 1 << 16
# Lists of averaging packages, by their endings and by words in the head of files of many uses.
_LIST_SUFFIXES = (".tbl", ".em", ".lst")
_LIST_WORDS = {
    ".star": (b"_subtomo_num", b"data_stopgap_motivelist"),
    ".xml": (b"<ParticleList",),
    ".csv": (b"tomogram",),
    ".json": (b"pickable_object_name",),
}
_CSV_PLACES = (b"x", b"x_angstrom", b"x_centred_angstrom")


def is_averaging_list(path: Path) -> bool:
    """Whether a file lists averaged particles without tilt images, as `extract` reads them.

    XML, CSV, JSON and star files are many things: a word in their head has to say so.
    """
    suffix = path.suffix.lower()
    if suffix in _LIST_SUFFIXES:
        return path.is_file()
    words = _LIST_WORDS.get(suffix)
    if words is None or not path.is_file():
        return False
    try:
        with open(path, "rb") as stream:
            head = stream.read(_LOOK_AT_BYTES)
    except OSError:
        return False
    if suffix == ".csv":
        names = {name.strip().lower() for name in head.split(b"\n")[0].split(b",")}
        return b"tomogram" in names and not names.isdisjoint(_CSV_PLACES)
    return any(word in head for word in words)
