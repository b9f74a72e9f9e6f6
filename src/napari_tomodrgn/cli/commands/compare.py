"""The commands that ask whether a difference is real: `compare`."""

from __future__ import annotations

import json
from argparse import Namespace
from datetime import UTC, datetime
from typing import Any

from napari_tomodrgn.analysis.evidence.comparison import Comparison, compare_groups
from napari_tomodrgn.analysis.evidence.groups import Labels, label_groups, match_group, read_group
from napari_tomodrgn.analysis.evidence.records import record_comparison, save_maps
from napari_tomodrgn.analysis.evidence.session import Evidence, gather_evidence
from napari_tomodrgn.cli.terminal import say, watch
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.directory import Run


def run_compare(options: Namespace) -> int:
    """Compare two groups of a run's particles; the result is kept in the run too."""
    run = Run.open(options.run)
    _reject_full(options)
    a = read_group(run, options.a)
    b = read_group(run, options.b) if options.b else None
    evidence = watch(gather_evidence(run, options.images))
    if options.random:
        in_a = label_groups(evidence.ids, a) == 1
        drawn = match_group(evidence.data.particles, in_a, options.seed)
    else:
        drawn = label_groups(evidence.ids, a, b)
    names = (a.name, b.name if b else ("random" if options.random else "all others"))
    found = _compared(evidence, drawn, options)
    told = record_comparison(run, evidence.ids, names, found, _now())
    save_maps(found, evidence.ids, options.out)
    if options.json:
        print(json.dumps(told))
    else:
        print_comparison(told)
        say(f"→ {options.out}")
    return 0


def _reject_full(options: Namespace) -> None:
    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        raise BadInputError(
            f"{options.out} exists and is not an empty folder.",
            remedy="Name a new folder.",
            code="not-empty",
        )


def _compared(evidence: Evidence, drawn: Labels, options: Namespace) -> Comparison:
    return watch(
        compare_groups(
            evidence,
            drawn,
            from_images=not options.without_images,
            permutations=options.permutations,
            seed=options.seed,
        )
    )


def print_comparison(told: dict[str, Any]) -> None:
    """What a comparison found, in a few lines on stdout."""
    print(told["sentence"])
    print(
        f"{told['a']}: {told['particles_a']} particles, {told['b']}: {told['particles_b']}; "
        f"p {told['p']:.2g}, adjusted for the comparisons of this run {told['p_holm']:.2g} "
        f"({told['permutations']} random splits)"
    )
    if told["cross_fitted"]:
        print(
            f"cross-fitted: tilt halves agree on {told['agreement_of_halves']:.0%} of the "
            f"particles; the maps show {told['attenuation']:.0%} of a difference"
        )
    for name, one in told["tests"].items():
        print(f"{name:>24}  {one['z']:+6.1f} σ  p {one['p']:.2g}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
