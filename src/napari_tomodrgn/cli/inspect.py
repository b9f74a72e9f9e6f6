"""Reading what a command line names, with what it knows better, and the command ``inspect``."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import asdict

from napari_tomodrgn.analysis.preflight import PreflightDone, PreflightProgress, preflight
from napari_tomodrgn.cli.options import YES_NO
from napari_tomodrgn.cli.terminal import Bar
from napari_tomodrgn.config import DataConfig, Overrides, RunConfig
from napari_tomodrgn.data.checks import Check, file_checks, problems_of, summary
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.training.forecast import forecast


def read_particles_from_args(options: Namespace) -> ParticleSet:
    """The particles that a command line names; what a run to resume overrode stays so."""
    overrides = Overrides(
        pixel_size_angstrom=options.pixel_size,
        hand=options.hand,
        dose_per_tilt_e_per_angstrom2=options.dose_per_tilt,
        columns=dict(options.column or ()),
    )
    if getattr(options, "resume", False) and overrides == Overrides():
        overrides = Run.open(options.out).info.overrides
    return read_particles(
        options.source, images=options.images, dialect=options.dialect, overrides=overrides
    )


def data_options(options: Namespace) -> dict[str, str | bool]:
    """Fields of `DataConfig` that the command line says something about."""
    said = {
        "contrast": options.contrast,
        "ctf_premultiplied": YES_NO.get(options.ctf_premultiplied),
        "dose_weighted": YES_NO.get(options.dose_weighted),
    }
    return {name: value for name, value in said.items() if value is not None}


def inspect(options: Namespace) -> int:
    """Say what a star file holds and what is wrong with it."""
    config = DataConfig.model_validate(data_options(options))
    particles = read_particles_from_args(options).with_overrides(config)
    checks = file_checks(particles)
    found = None
    broken = any(check.verdict == "error" for check in checks)
    if not broken and not options.quick:
        found = _preflight(particles, config)
        checks += found.checks
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
            value = "  ".join(f"{key} {number}" for key, number in value.items())
        elif isinstance(value, list):
            shown = ", ".join(map(str, value[:6]))
            value = f"{len(value)}: {shown}{', …' if len(value) > 6 else ''}"
        print(f"{name.replace('_', ' '):>32}  {value}")
    print()
    for check in checks:
        number = "" if check.number is None else f"{check.number:.4g}"
        print(f"{check.verdict:>8}  {number:>8}  {check.code:<20}  {check.message}")
        if check.verdict in ("warning", "error") and check.why:
            print(f"{'why':>40}  {check.why}")
        if check.remedy:
            print(f"{'remedy':>40}  {check.remedy}")
