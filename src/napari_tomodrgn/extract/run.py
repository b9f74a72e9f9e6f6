"""`extract`: a generator of frozen events that leaves a folder of images and stars.

Tomogram by tomogram: a kill costs one, and the same call goes on to the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.cut import CropPlan, plan_crops
from napari_tomodrgn.extract.dose.mdoc import read_mdoc
from napari_tomodrgn.extract.events import (
    Extracted,
    ExtractEvent,
    ExtractNotice,
    ExtractProgress,
    ExtractStarted,
    TomogramDone,
)
from napari_tomodrgn.extract.lists import ParticleList, read_list
from napari_tomodrgn.extract.output import Optics, PlacedSeries, write_stars
from napari_tomodrgn.extract.series import Conventions, Series, read_all_series
from napari_tomodrgn.extract.settings import ExtractConfig
from napari_tomodrgn.extract.tomogram import is_written, place, write_tomogram
from napari_tomodrgn.files import write_text

_MARK = ".extraction"
_DEFAULTS = {"voltage_kv": 300.0, "spherical_aberration_mm": 2.7, "amplitude_contrast": 0.07}
# Tilt series of one set are of one pixel size; headers round it.
_SAME_PIXEL = 1e-3


@dataclass(frozen=True, eq=False)
class Extraction:
    """What is known before anything is cut."""

    config: ExtractConfig
    particles: ParticleList
    series: tuple[Series, ...]
    plan: CropPlan
    optics: Optics
    assumed: tuple[str, ...]

    def placed(self, conventions: Conventions) -> list[PlacedSeries]:
        """All tomograms under some conventions, empty ones left out."""
        return [
            place(one, self.particles, conventions, self.plan, self.config.min_tilts)
            for one in self.series
        ]


def read_extraction(config: ExtractConfig) -> Extraction:
    """Read everything but images.

    Raises
    ------
    BadInputError
        If anything is missing or wrong, in one sentence.
    """
    particles = read_list(config.particles)
    series = read_all_series(config, particles)
    pixels = [one.stack.pixel_size_angstrom for one in series]
    for one, pixel in zip(series, pixels, strict=True):
        if abs(pixel / pixels[0] - 1) > _SAME_PIXEL:
            raise BadInputError(
                f"{one.stack.path}: its pixels are {pixel:g} Å, those of {series[0].name} "
                f"{pixels[0]:g} Å.",
                remedy="Extract sets of different pixel size one by one, with --tomogram NAME.",
                code="mixed-pixel-sizes",
            )
    plan = plan_crops(pixels[0], config.box_px, config.pixel_size_target_angstrom)
    optics, assumed = _optics(config, series)
    return Extraction(config, particles, tuple(series), plan, optics, assumed)


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
    from napari_tomodrgn.extract.proof import decide

    extraction = read_extraction(config)
    out = Path(out)
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
    images = yield from _write_all(out, extraction, kept)
    path = write_stars(out, kept, extraction.plan, extraction.optics, config.image_series)
    about = _about(extraction, decided.told(), placed)
    write_text(out / "extraction.json", json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    done = Extracted(path, sum(len(one) for one in kept), images)
    yield done
    return done


def _write_all(
    out: Path, extraction: Extraction, kept: list[PlacedSeries]
) -> Generator[ExtractEvent, None, int]:
    dtype = "float16" if extraction.config.float16 else "float32"
    total = sum(int(one.visible.sum()) for one in kept)
    before = 0
    for one in kept:
        images = int(one.visible.sum())
        reused = is_written(out, one, extraction.plan, dtype)
        if not reused:
            for done in write_tomogram(out, one, extraction.plan, dtype):
                yield ExtractProgress(before + done, total)
        before += images
        hidden = one.visible.size - images
        yield TomogramDone(one.series.name, len(one), images, hidden, len(one.left_out), reused)
    return total


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
    if out.exists() and not out.is_dir():
        raise BadInputError(f"{out} is a file, not a folder.", code="not-a-folder")
    known = out / _MARK
    if known.is_file():
        if known.read_text(encoding="utf-8", errors="replace") != mark:
            raise BadInputError(
                f"{out}: holds an extraction with other settings.",
                remedy="Name another folder.",
                code="other-extraction",
            )
    elif out.exists() and any(out.iterdir()):
        raise BadInputError(
            f"{out} holds other files.", remedy="Name a new or an empty folder.", code="not-empty"
        )
    write_text(known, mark)


def _optics(config: ExtractConfig, series: list[Series]) -> tuple[Optics, tuple[str, ...]]:
    """Voltage, aberration, amplitude contrast: of the user, the CTF's files, the mdoc."""
    assumed = []
    found: dict[str, float] = {}
    for name, default in _DEFAULTS.items():
        values = {
            value
            for one in series
            if (value := getattr(one.contrast, name)) is not None and value > 0
        }
        said = getattr(config, name)
        if said is None and not values and name == "voltage_kv":
            values = _mdoc_voltages(series)
        if said is None and len(values) > 1:
            raise BadInputError(
                f"{series[0].contrast.path}: {name} differs between tilt series "
                f"({min(values):g} to {max(values):g}).",
                remedy="Extract them one by one, with --tomogram NAME.",
                code="mixed-optics",
            )
        if said is None and not values:
            assumed.append(f"{name.replace('_', ' ')} ({default:g})")
        found[name] = said if said is not None else (values.pop() if values else default)
    return Optics(**found), tuple(assumed)


def _mdoc_voltages(series: list[Series]) -> set[float]:
    files = [one.sources["dose"] for one in series]
    voltages = [read_mdoc(path).value("Voltage") for path in files if path.suffix == ".mdoc"]
    return {voltage for voltage in voltages if voltage}


def _about(
    extraction: Extraction, decisions: dict[str, Any], placed: list[PlacedSeries]
) -> dict[str, Any]:
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


def _about_tomogram(one: PlacedSeries) -> dict[str, Any]:
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
