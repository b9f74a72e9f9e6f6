"""What the command `extract` does."""

from __future__ import annotations

from argparse import Namespace

from napari_tomodrgn.cli.terminal import Bar, say, stop_on_interrupt
from napari_tomodrgn.config import validated
from napari_tomodrgn.extract.events import (
    Extracted,
    ExtractEvent,
    ExtractNotice,
    ExtractProgress,
    ExtractStarted,
    TomogramDone,
)
from napari_tomodrgn.extract.lists import read_list
from napari_tomodrgn.extract.run import extract as extract_events
from napari_tomodrgn.extract.settings import ExtractConfig
from napari_tomodrgn.extract.survey import survey
from napari_tomodrgn.files import explained_write_errors

_SETTINGS = {
    "particles": "particles",
    "tilt_series": "tilt_series",
    "alignment": "alignment",
    "ctf": "ctf",
    "dose": "dose",
    "dose_per_tilt": "dose_per_tilt",
    "order": "order",
    "tomograms": "tomograms",
    "match": "match",
    "tomogram": "only",
    "box_target": "box_px",
    "pixel_size_target": "pixel_size_target_angstrom",
    "pixel_size": "pixel_size_angstrom",
    "list_pixel_size": "list_pixel_size_angstrom",
    "stacks": "stacks",
    "z": "z",
    "pose": "pose",
    "hand": "hand",
    "origin": "origin",
    "min_tilts": "min_tilts",
    "ignore_local": "ignore_local",
    "voltage": "voltage_kv",
    "spherical_aberration": "spherical_aberration_mm",
    "amplitude_contrast": "amplitude_contrast",
    "float16": "float16",
    "image_series": "image_series",
}


def run_extract(options: Namespace) -> int:
    """Cut tilt images out of tilt series, or go on with it."""
    config = _config_of(options)
    if options.dry_run:
        _tell_survey(config)
    bar = Bar("Cutting", "images")
    with stop_on_interrupt() as asked, explained_write_errors(options.out):
        try:
            for event in extract_events(config, options.out, dry_run=options.dry_run):
                _show(event, bar)
                if asked.is_set():
                    say("Stopped; the same command goes on.")
                    return 130
        finally:
            bar.close()
    return 0


def _config_of(options: Namespace) -> ExtractConfig:
    given = {
        field: value
        for name, field in _SETTINGS.items()
        if (value := getattr(options, name)) is not None
    }
    names = {field: f"--{name.replace('_', '-')}" for name, field in _SETTINGS.items()}
    return validated(ExtractConfig, given, names=names)


def _tell_survey(config: ExtractConfig) -> None:
    """What is there of each tomogram; nothing is read but names."""
    for row in survey(config, read_list(config.particles)):
        files = {"stack": row.stack, "alignment": row.alignment, "CTF": row.ctf, "dose": row.dose}
        words = ", ".join(f"{what} {path.name if path else '–'}" for what, path in files.items())
        say(f"{row.tomogram}: {row.particles} particles, {words}")
        for sentence in row.missing:
            say(f"  {sentence}")


def _show(event: ExtractEvent, bar: Bar) -> None:
    if isinstance(event, ExtractStarted):
        say(f"{event.particles} particles in {event.tomograms} tomograms")
    elif isinstance(event, ExtractNotice):
        say(event.message)
    elif isinstance(event, ExtractProgress):
        bar.show(event.done, event.total)
    elif isinstance(event, TomogramDone):
        words = " (there already)" if event.reused else ""
        say(
            f"{event.name}: {event.particles} particles, {event.images} images, "
            f"{event.hidden} beyond the border, {event.left_out} particles left out{words}"
        )
    elif isinstance(event, Extracted):
        say(f"{event.particles} particles, {event.images} images → {event.optimisation_set}")
