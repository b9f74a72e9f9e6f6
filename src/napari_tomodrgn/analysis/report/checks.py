"""What was asked of the data before they were learnt from, and what the answers were."""

from __future__ import annotations

from dataclasses import replace
from html import escape

from napari_tomodrgn.analysis.preflight.kept import kept_checks
from napari_tomodrgn.data.checks import Check, file_checks
from napari_tomodrgn.data.checks.check_labels import name_of, number_of, rank, tally
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.directory import Run

_SIGNS = {"error": "✕", "warning": "!", "info": "i", "ok": "✓"}
_NOT_ASKED = "<p>The physics were not asked of the images: <i>Particles</i> in the window asks.</p>"


def check_section(run: Run, particles: ParticleSet) -> str:
    """Answers worst first, in full; what passed is folded."""
    try:
        asked = kept_checks(run)
    except BadInputError as error:
        return f"<p>{escape(str(error))}</p>"
    checks = sorted((*map(_without_images, file_checks(particles)), *asked), key=rank)
    passed = [one for one in checks if one.verdict == "ok"]
    rest = [one for one in checks if one.verdict != "ok"]
    folded = f"<details><summary>What passed</summary>{_list(passed)}</details>" if passed else ""
    return f"<p>{tally(checks)}.</p>{_list(rest)}{folded}{'' if asked else _NOT_ASKED}"


def _without_images(check: Check) -> Check:
    """A report needs no images: that they are elsewhere by now is no fault of the data."""
    missing = (check.code, check.verdict) == ("unreadable-stack", "error")
    return replace(check, verdict="info") if missing else check


def _list(checks: list[Check]) -> str:
    lines = []
    for one in checks:
        number = number_of(one)
        name = f"{_SIGNS[one.verdict]} {name_of(one.code)}{f' ({number})' if number else ''}"
        lines.append(f"<li><b>{escape(name)}</b>: {escape(one.message)}</li>")
    return f"<ul>{''.join(lines)}</ul>" if lines else ""
