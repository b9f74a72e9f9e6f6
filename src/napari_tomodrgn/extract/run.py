"""`extract`: a generator of frozen events that leaves a folder of images and stars.

Tomogram by tomogram: a kill costs one, and the same call goes on to the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterator
from dataclasses import asdict
from pathlib import Path

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.events import (
    Extracted,
    ExtractEvent,
    ExtractNotice,
    ExtractProgress,
    ExtractStarted,
    TomogramDone,
)
from napari_tomodrgn.extract.inputs import Extraction, read_extraction
from napari_tomodrgn.extract.output import OPTIMISATION_SET, PlacedSeries, write_extraction_stars
from napari_tomodrgn.extract.proof import decide
from napari_tomodrgn.extract.series import Conventions
from napari_tomodrgn.extract.settings import ExtractConfig
from napari_tomodrgn.extract.tomogram import is_written, write_tomogram
from napari_tomodrgn.files import remove_leftovers, write_text

_MARK = ".extraction"
_ABOUT = "extraction.json"  # written last: where it is, all is


def extract(
    config: ExtractConfig, out: str | Path, *, dry_run: bool = False
) -> Generator[ExtractEvent, None, Extracted | None]:
    """Cut the tilt images of all particles of a list (see `napari_tomodrgn.extract`).

    Parameters
    ----------
    config
        What is to be extracted.
    out
        A new or empty folder, or one in which the same extraction was stopped.
    dry_run
        Read, decide and count everything, and write nothing.

    Raises
    ------
    BadInputError
        If something is missing, cannot be told, or ``out`` holds other things.
    """
    out = Path(out)
    if not dry_run:
        _refuse_taken(out)  # before minutes of reading
    extraction = read_extraction(config)
    count = sum(len(one.rows) for one in extraction.series)
    yield ExtractStarted(len(extraction.series), count)
    if extraction.assumed:
        yield ExtractNotice(
            f"No file says {', '.join(extraction.assumed)}: assumed. Pass what is right."
        )
    decided = yield from decide(extraction)
    placed = extraction.placed(decided.conventions)
    yield from _tell_placed(placed)
    kept = [one for one in placed if len(one)]
    if not kept:
        raise BadInputError(
            f"{config.particles}: no particle has enough whole images at a box of "
            f"{config.box_px} px.",
            remedy="Check --list-pixel-size, --origin and --z, take a smaller box, or lower "
            "--min-tilts.",
            code="no-particles",
        )
    if dry_run:
        return None
    _prepare_folder(out, extraction, decided.conventions)
    images, new = yield from _write_all(out, extraction, kept)
    about, path = out / _ABOUT, out / OPTIMISATION_SET
    if not new and about.is_file() and path.is_file():
        # Somebody may train on them, or have changed them.
        yield ExtractNotice(f"{out} holds this extraction already: nothing was written.")
    else:
        write_extraction_stars(out, kept, extraction.plan, extraction.optics, config.image_series)
        text = json.dumps(_about(extraction, decided.told(), placed), indent=1, ensure_ascii=False)
        write_text(about, text + "\n")
    done = Extracted(path, sum(len(one) for one in kept), images)
    yield done
    return done


def _write_all(
    out: Path, extraction: Extraction, kept: list[PlacedSeries]
) -> Generator[ExtractEvent, None, tuple[int, int]]:
    """Number of images there are, and of tomograms that were not there yet."""
    dtype = "float16" if extraction.config.float16 else "float32"
    total = sum(int(one.visible.sum()) for one in kept)
    before = new = 0
    for one in kept:
        images = int(one.visible.sum())
        reused = is_written(out, one, extraction.plan, dtype)
        new += not reused
        if not reused:
            for done in write_tomogram(out, one, extraction.plan, dtype):
                yield ExtractProgress(before + done, total)
        before += images
        hidden = one.visible.size - images
        yield TomogramDone(one.series.name, len(one), images, hidden, len(one.left_out), reused)
    return total, new


def _tell_placed(placed: list[PlacedSeries]) -> Iterator[ExtractNotice]:
    left = sum(len(one.left_out) for one in placed)
    if left:
        worst = max(placed, key=lambda one: len(one.left_out))
        yield ExtractNotice(
            f"{left} particles are left out: too few of their images are whole "
            f"({len(worst.left_out)} of them in {worst.series.name})."
        )


def _prepare_folder(out: Path, extraction: Extraction, conventions: Conventions) -> None:
    """Make the folder, or make sure that what is in it is this extraction."""
    config = extraction.config.model_dump(mode="json")
    text = json.dumps({**config, "conventions": asdict(conventions)}, sort_keys=True)
    mark = hashlib.sha256(text.encode()).hexdigest() + "\n"
    _refuse_taken(out)
    known = out / _MARK
    if known.is_file() and known.read_text(encoding="utf-8", errors="replace") != mark:
        raise BadInputError(
            f"{out}: holds an extraction with other settings.",
            remedy="Name another folder.",
            code="other-extraction",
        )
    write_text(known, mark)


def _refuse_taken(out: Path) -> None:
    """Raise where a folder holds something else than an extraction."""
    if out.exists() and not out.is_dir():
        raise BadInputError(f"{out} is a file, not a folder.", code="not-a-folder")
    remove_leftovers(out, _MARK)  # of one that was killed before anything else was written
    if not (out / _MARK).is_file() and out.exists() and any(out.iterdir()):
        raise BadInputError(
            f"{out} holds other files.", remedy="Name a new or an empty folder.", code="not-empty"
        )


def _about(
    extraction: Extraction, decisions: dict[str, object], placed: list[PlacedSeries]
) -> dict[str, object]:
    """What `extraction.json` says: sources with checksums, decisions, counts."""
    from napari_tomodrgn import __version__

    config, plan = extraction.config, extraction.plan
    return {
        "version": __version__,
        "list": {
            "path": str(config.particles.absolute()),
            "format": extraction.particles.format,
            "sha256": _checksum(extraction.particles.path, "list"),
        },
        "settings": config.model_dump(mode="json"),
        "assumed": list(extraction.assumed),
        "decisions": decisions,
        "pixel_size_angstrom": plan.pixel_size_angstrom,
        "binning": plan.binning,
        "box_px": plan.box_px,
        "ctf_premultiplied": False,
        "dose_weighted": False,
        "normalisation": "each tilt image: mean 0, standard deviation 1 (Particles/*/tilts.json)",
        "tomograms": [_about_tomogram(one) for one in placed],
    }


def _about_tomogram(one: PlacedSeries) -> dict[str, object]:
    sources = {
        what: {"path": str(path.absolute()), "sha256": _checksum(path, what)}
        for what, path in sorted(one.series.sources.items())
    }
    return {
        "name": one.series.name,
        "list_name": one.series.tomogram,
        "alignment": one.series.alignment,
        "tilts": len(one.series.geometry),
        "particles": len(one),
        "images": int(one.visible.sum()),
        "hidden_images": int((~one.visible).sum()),
        "left_out": list(one.left_out),
        "hand": one.hand,
        "sources": sources,
    }


def _checksum(path: Path, what: str) -> str:
    """Of a whole file; of stacks and tomograms, which may be large, of the header alone."""
    found = hashlib.sha256()
    with open(path, "rb") as stream:
        if what in ("stack", "tomogram"):
            found.update(stream.read(1024))
        else:
            while chunk := stream.read(1 << 20):
                found.update(chunk)
    return found.hexdigest()
