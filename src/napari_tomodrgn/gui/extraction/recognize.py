"""Which files list particles, with tilt images or without, or are maps: by endings and heads."""

from __future__ import annotations

from pathlib import Path

MAP_SUFFIXES = (".mrc", ".mrcs", ".map")
_LOOK_AT_BYTES = 1 << 16
# Lists of averaging packages, by their endings and by words in the head of files of many uses.
_LIST_SUFFIXES = (".tbl", ".em", ".lst")
_LIST_WORDS = {
    ".xml": (b"<ParticleList",),
    ".json": (b"pickable_object_name",),
}
_MOTIVE_LIST = (b"_subtomo_num", b"data_stopgap_motivelist")
_STAR_PLACES = (b"_rlnCoordinateZ", b"_rlnCenteredCoordinateZAngst")
_STAR_IMAGES = (b"_rlnImageName", b"_rlnTomoVisibleFrames")
_CSV_PLACES = (b"x", b"x_angstrom", b"x_centred_angstrom")
_EMCLARITY_COLUMNS = 26
# Words of the star files that list particles, one a line of loop header or key.
_PARTICLE_WORDS = (
    b"_rlnTomoParticlesFile",
    b"_rlnTomoParticleName",
    b"_rlnTomoVisibleFrames",
    b"_rlnImageName",
    b"_rlnGroupName",
)


def is_averaging_list(path: Path) -> bool:
    """Whether a file lists averaged particles without tilt images, as `extract` reads them.

    XML, CSV, JSON and star files are many things: words in their head have to say so.
    """
    suffix = path.suffix.lower()
    if suffix in _LIST_SUFFIXES:
        return path.is_file()
    if suffix not in (".star", ".csv", *_LIST_WORDS) or not path.is_file():
        return False
    try:
        with open(path, "rb") as stream:
            head = stream.read(_LOOK_AT_BYTES)
    except OSError:
        return False
    if suffix == ".csv":
        return _is_csv_list(head.split(b"\n")[0])
    if suffix == ".star":
        return _is_star_list(head)
    return any(word in head for word in _LIST_WORDS[suffix])


def lists_particles(path: Path) -> bool:
    """Whether a file looks like a star file of particles."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(_LOOK_AT_BYTES)
    except OSError:
        return False
    return b"\0" not in head and any(word in head for word in _PARTICLE_WORDS)


def _is_star_list(head: bytes) -> bool:
    """Places, and no images: what has images is opened as it is."""
    if any(word in head for word in _MOTIVE_LIST):
        return True
    placed = any(word in head for word in _STAR_PLACES)
    return placed and not any(word in head for word in _STAR_IMAGES)


def _is_csv_list(line: bytes) -> bool:
    names = {name.strip().lower() for name in line.split(b",")}
    if b"tomogram" in names:
        return not names.isdisjoint(_CSV_PLACES)
    words = line.replace(b",", b" ").split()  # emClarity's has no line of names
    try:
        return len(words) == _EMCLARITY_COLUMNS and all(float(word) is not None for word in words)
    except ValueError:
        return False
