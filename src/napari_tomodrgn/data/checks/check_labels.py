"""Checks in plain words: what each is called in the window and how its number is written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_tomodrgn.data.checks import Check

# Code -> name, and the format of the number where it means something to a reader.
_NAMES: dict[str, tuple[str, str]] = {
    "files": ("Image files", ""),
    "missing-images": ("Image files", ""),
    "unreadable-stack": ("Image files", ""),
    "truncated-stack": ("Image files are whole", ""),
    "short-stack": ("Images in the files", ""),
    "wrong-box": ("Box of the image files", ""),
    "pixel-size-header": ("Pixel size in the image files", ""),
    "box": ("Box", ""),
    "odd-box": ("Box", ""),
    "numbers": ("Numbers in the star file", ""),
    "not-a-number": ("Numbers in the star file", ""),
    "optics": ("Microscope settings", ""),
    "voltage": ("Voltage", ""),
    "amplitude-contrast": ("Amplitude contrast", ""),
    "spherical-aberration": ("Spherical aberration", ""),
    "pixel-size": ("Pixel size", ""),
    "defocus": ("Defocus", ""),
    "no-defocus": ("Defocus", ""),
    "defocus-range": ("Defocus", ""),
    "defocus-in-micrometres": ("Unit of the defocus", ""),
    "near-focus": ("Defocus", ""),
    "several-optics": ("Microscope settings", ""),
    "identical-poses": ("Angles", ""),
    "angles-beyond-a-turn": ("Angles", ""),
    "reading": ("Columns of the star files", ""),
    "not-applied": ("Columns that are not applied", ""),
    "inactive-images": ("Images switched off", ""),
    "no-hand": ("Hand of the tilts", ""),
    "dose": ("Dose", ""),
    "no-dose": ("Dose", ""),
    "dose-range": ("Dose", ""),
    "dose-order": ("Order of the doses", ""),
    "tilts": ("Tilts", ""),
    "no-tilts": ("Tilts", ""),
    "tilt-range": ("Range of the tilts", ""),
    "few-tilts": ("Number of tilts", ""),
    "unequal-tilts": ("Number of tilts", ""),
    "visible-frames": ("Particles without visible frames", ""),
    "no-visible-frames": ("Particles without visible frames", ""),
    "angles-and-shifts": ("Alignment", ""),
    "no-poses": ("Alignment", ""),
    "large-shifts": ("Shifts", ""),
    "positions": ("Positions in the tomogram", ""),
    "outside-tomogram": ("Positions in the tomogram", ""),
    "duplicate-positions": ("Duplicate particles", ""),
    "images": ("Each image belongs to one particle", ""),
    "duplicate-images": ("Each image belongs to one particle", ""),
    "motion": ("Motion of particles", ""),
    "trajectories": ("Motion of particles", ""),
    "sample": ("Size of the sample", "{:.0f}"),
    "pixels": ("Pixels", "{:.0f} bad"),
    "pixel-size-ctf": ("Pixel size by the CTF", "× {:.2f}"),
    "ctf-premultiplied": ("CTF pre-multiplied", "{:.0%}"),
    "odd-images": ("Outlier images", "{:.1%}"),
    "half-maps": ("Resolution of half maps", "{:.3g}"),
    "map-kind": ("What the quick map shows", ""),
    "contrast": ("Contrast", "{:+.1f} SD"),
    "geometry": ("Poses and tilts", "{:.1f} × shuffled"),
    "noise-by-dose": ("Noise by dose", "{:+.2f}"),
    "noise-by-tilt": ("Noise by tilt", "{:+.2f}"),
    "defocus-hand": ("Defocus handedness", "z {:.1f}"),
    "dose-decay": ("Detail fades with dose", "z {:.1f}"),
}
_ORDER = {"error": 0, "warning": 1, "info": 2, "ok": 3}


def name_of(code: str) -> str:
    """What a check is called; a code that is not known yet, as words."""
    return _NAMES.get(code, (code.replace("-", " ").capitalize(), ""))[0]


def number_of(check: Check) -> str:
    """The number behind a verdict, empty where there is none that says something."""
    form = _NAMES.get(check.code, ("", "{:.3g}"))[1]
    if check.code == "half-maps" and check.verdict == "ok":
        form = "{:.1f} Å"
    return "" if check.number is None or not form else form.format(check.number)


def rank(check: Check) -> int:
    """Worst first."""
    return _ORDER[check.verdict]


def tally(checks: Iterable[Check]) -> str:
    """``1 error, 2 warnings, 3 notes, 14 passed``."""
    counts = dict.fromkeys(_ORDER, 0)
    for check in checks:
        counts[check.verdict] += 1
    parts = [
        f"{count} {word}{'s' if count > 1 and plural else ''}"
        for count, word, plural in (
            (counts["error"], "error", True),
            (counts["warning"], "warning", True),
            (counts["info"], "note", True),
            (counts["ok"], "check passed" if counts["ok"] == 1 else "checks passed", False),
        )
        if count
    ]
    return ", ".join(parts)
