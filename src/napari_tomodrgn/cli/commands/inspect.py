"""The command ``inspect``: what a star file holds, and whether it is sane."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import asdict

from napari_tomodrgn.analysis.preflight import PreflightDone, PreflightProgress, preflight
from napari_tomodrgn.analysis.tomogram.position_check import position_check
from napari_tomodrgn.cli.choosing import data_config, read_chosen
from napari_tomodrgn.cli.terminal import Bar
from napari_tomodrgn.config import DataConfig, RunConfig
from napari_tomodrgn.data.checks import Check, file_checks, problems_of, summary
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.learn.training.forecast import forecast

# Endings of names that are units; the longest first.
_UNITS = {
    "_e_per_angstrom2": "e/Å²",
    "_angstrom": "Å",
    "_deg": "°",
    "_kv": "kV",
    "_mm": "mm",
    "_px": "px",
    "_gb": "GB",
}
_WHOLE_FROM = 1000  # numbers from here on are shown without decimals


def run_inspect(options: Namespace) -> int:
    """Say what a star file holds and what is wrong with it."""
    config = data_config(options)
    particles = read_chosen(options, config)
    if options.ids:
        print("\n".join(particles.ids))
        return 0
    checks = file_checks(particles)
    found = None
    broken = any(check.verdict == "error" for check in checks)
    if not broken and not options.quick:
        found = _preflight(particles, config)
        checks += found.checks
    if options.tomograms is not None:
        checks.append(position_check(particles, options.tomograms))
    report = summary(particles, problems_of(checks), config.contrast)
    report["checks"] = [asdict(check) for check in checks]
    if found:
        report["contrast"] = found.contrast or config.contrast
    if not broken:
        report["forecast"] = forecast(particles, RunConfig(data=config))
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        print_report(report, checks)
    return 2 if any(check.verdict == "error" for check in checks) else 0


def _preflight(particles: ParticleSet, config: DataConfig) -> PreflightDone:
    """The physics of a set, with a bar."""
    bar = Bar("Checking the physics", "checks")
    steps = preflight(particles, config)
    try:
        while True:
            try:
                event = next(steps)
            except StopIteration as end:
                found: PreflightDone = end.value
                return found
            if isinstance(event, PreflightProgress):
                bar.show(event.done, event.total)
    finally:
        bar.close()


def print_report(report: dict[str, object], checks: list[Check]) -> None:
    """What was understood, then every check: verdict, number, code, what was found, what to do."""
    for name, value in report.items():
        if name in ("problems", "checks"):
            continue
        if isinstance(value, dict):
            known = {key: number for key, number in value.items() if number is not None}
            value = "  ".join(f"{_label(key)} {_plain(number)}" for key, number in known.items())
        elif isinstance(value, list):
            shown = ", ".join(map(str, value[:6]))
            value = f"{len(value)}: {shown}{', …' if len(value) > 6 else ''}"
        print(f"{_label(name):>32}  {_plain(value)}")
    print()
    for check in checks:
        number = "" if check.number is None else _plain(check.number)
        print(f"{check.verdict:>8}  {number:>8}  {check.code:<20}  {check.message}")
        if check.verdict in ("warning", "error") and check.why:
            print(f"{'why':>40}  {check.why}")
        if check.remedy:
            print(f"{'remedy':>40}  {check.remedy}")


def _label(name: str) -> str:
    """The name of a number in words, with its unit."""
    for ending, unit in _UNITS.items():
        if name.endswith(ending):
            return f"{name.removesuffix(ending).replace('_', ' ')} ({unit})"
    return name.replace("_", " ")


def _plain(value: object) -> str:
    """A number as people write it; other things as they are."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= _WHOLE_FROM else f"{value:.4g}"
    return str(value)
