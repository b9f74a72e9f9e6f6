"""The commands that ask whether a difference is real, and tell of it: compare, report, …"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from napari_tomodrgn.analysis.evidence.comparison import PERMUTATIONS, Comparison, compare_groups
from napari_tomodrgn.analysis.evidence.groups import Labels, label_groups, match_group, read_group
from napari_tomodrgn.analysis.evidence.images import read_run_images
from napari_tomodrgn.analysis.evidence.permutation import chance
from napari_tomodrgn.analysis.evidence.records import molecule_words, record_comparison, save_maps
from napari_tomodrgn.analysis.evidence.session import (
    Evidence,
    add_up,
    gather_evidence,
    gather_tilt_halves,
    kept_tilt_halves,
)
from napari_tomodrgn.analysis.evidence.trust import trust_particles
from napari_tomodrgn.analysis.latents.class_shares import (
    ClassShares,
    conditions_of,
    keep_conditions,
    read_conditions,
    shares_of_run,
)
from napari_tomodrgn.analysis.latents.components import with_columns
from napari_tomodrgn.analysis.latents.figures import share_chart
from napari_tomodrgn.analysis.latents.run_pairs import compare_latents
from napari_tomodrgn.analysis.report import write_report
from napari_tomodrgn.analysis.selections import read_clusters
from napari_tomodrgn.cli.choosing import given_files, ids_of_expression
from napari_tomodrgn.cli.terminal import say, watch
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import all_or_none, write_text, written_atomically
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.exports import export_files


def run_compare(options: Namespace) -> int:
    """Compare two groups of a run's particles; the result is kept in the run too."""
    run = Run.open(options.run)
    _reject_full(options)
    a = read_group(run, options.a, ids_of_expression)
    b = read_group(run, options.b, ids_of_expression) if options.b else None
    evidence = watch(gather_evidence(run, options.images))
    if options.random:
        in_a = label_groups(evidence.ids, a) == 1
        drawn = match_group(evidence.data.particles, in_a, options.seed)
    else:
        drawn = label_groups(evidence.ids, a, b)
    names = (a.name, b.name if b else ("random" if options.random else "all others"))
    found = _compared(evidence, drawn, options)
    with all_or_none(overwrite=True):  # the folder is empty
        save_maps(found.kept, evidence.ids, options.out)
    result = record_comparison(run, evidence.ids, names, found, _now())
    if options.json:
        print(json.dumps(result))
    else:
        print_comparison(result)
        say(f"→ {options.out}")
    return 0


def _reject_full(options: Namespace) -> None:
    # What a killed command left is hidden, and removed by the next.
    out: Path = options.out
    if out.exists() and not (out.is_dir() and all(x.name.startswith(".") for x in out.iterdir())):
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
            permutations=options.permutations or PERMUTATIONS,
            seed=options.seed,
        )
    )


def print_comparison(result: dict[str, Any]) -> None:
    """What a comparison found, in a few lines on stdout."""
    print(result["sentence"])
    counts = " and ".join(f"{result[x]}: {result[f'particles_{x}']} particles" for x in "ab")
    print(molecule_words(result))
    print(counts)
    if result["cross_fitted"]:
        print(
            f"cross-fitted: tilt halves agree on {result['agreement_of_halves']:.0%} of the "
            f"particles; the maps show {result['attenuation']:.0%} of a difference"
        )
    splits = int(result["permutations"])
    for name, one in result["tests"].items():
        print(f"{name:>24}  {one['z']:+6.1f} σ  {chance(one['p'], splits)}")


def run_compare_runs(options: Namespace) -> int:
    """Lay the latents of two runs over each other and say who moved."""
    _reject_full(options)
    runs = [Run.open(path) for path in (options.run, options.other)]
    found = compare_latents(runs[0].latents(), runs[1].latents(), options.clusters)
    with (
        all_or_none(overwrite=True),  # the folder is empty
        written_atomically(options.out / "particles.csv") as temporary,
    ):
        found.table().to_csv(temporary, index=False)
    if options.json:
        result = {
            "particles": len(found.ids),
            "explained": found.explained,
            "canonical_correlations": found.canonical.tolist(),
            "cluster_agreement": found.cluster_agreement,
            "cluster_p": found.cluster_p,
            "sentence": found.sentence(),
        }
        print(json.dumps(result))
    else:
        print(found.sentence())
        say(f"→ {options.out}")
    return 0


def run_report(options: Namespace) -> int:
    """Write one self-contained page about a run."""
    if options.out.suffix not in (".html", ".htm"):
        raise BadInputError(f"{options.out}: the page must end in .html.")
    run = Run.open(options.run)
    with export_files(overwrite=options.overwrite, run=run, files=given_files(options)) as outputs:
        outputs.check(options.out)
        write_report(run, options.out)
    say(f"→ {options.out}")
    return 0


def run_shares(options: Namespace) -> int:
    """Write the shares of a run's clusters by condition of the tomograms."""
    run = Run.open(options.run)
    known = read_conditions(options.conditions)
    classes = read_clusters(run.path)["cluster"].astype(int)
    conditions_of(np.unique(run.latents()["tomogram"].to_numpy(np.str_)), known)
    with _share_files(options, run):  # before what takes a minute
        pass
    why = _find_tilt_halves(run, options.images)
    found = shares_of_run(run, classes, known)
    with _share_files(options, run):
        with written_atomically(options.out) as temporary:
            found.table.to_csv(temporary, index=False)
        if options.figure is not None:
            write_text(options.figure, share_chart(found.table, found.p_values))
    keep_conditions(run, known)
    _print_shares(found, why)
    say(f"→ {options.out}")
    return 0


@contextmanager
def _share_files(options: Namespace, run: Run) -> Iterator[None]:
    """Write all files of a command or none, none of which is there unless it may be replaced."""
    with export_files(overwrite=options.overwrite, run=run, files=given_files(options)) as outputs:
        for path in filter(None, (options.out, options.figure)):
            outputs.check(path)
        yield


def _print_shares(found: ClassShares, why: str) -> None:
    """``why`` shares are not corrected, where they could not be."""
    for row in found.table.to_dict("records"):
        alone = row["tomograms"] == 1
        between = "no interval of one" if alone else f"{row['low']:.1%} to {row['high']:.1%}"
        print(
            f"{row['condition']!s:>20}  cluster {row['class']}: {row['corrected']:.1%} "
            f"({between}), {row['tomograms']} {'tomogram' if alone else 'tomograms'}"
        )
    for kind, p in found.p_values.items():
        if p == p:
            print(f"cluster {kind}: p {p:.2g} that conditions share it alike")
    if any(p != p for p in found.p_values.values()):
        print("Whether conditions differ is not tested: one of them has a single tomogram.")
    if found.agreement is not None:
        print(f"corrected for confusion: tilt halves agree on {found.agreement:.0%} of particles")
    else:
        alone = found.table["class"].nunique() == 1
        other = "there is one cluster" if alone else "tilt halves in the run are of other particles"
        print(f"not corrected for confusion: {why or other}")
    if found.unused:
        say(f"{len(found.unused)} tomograms of the table are not of the run: {found.unused[0]} …")


def _find_tilt_halves(run: Run, images: Path | None) -> str:
    """Have the latents of tilt halves kept in a run; return why not where that cannot be."""
    if kept_tilt_halves(run) is None:
        try:
            watch(gather_tilt_halves(run, images))
        except BadInputError as error:
            return str(error)
    return ""


def run_trust(options: Namespace) -> int:
    """Write how far each particle is to be trusted, and keep it as a column of the run."""
    run = Run.open(options.run)
    with export_files(overwrite=options.overwrite, run=run) as outputs:
        outputs.check(options.out)
        data = watch(read_run_images(run, options.images))
        found = trust_particles(watch(add_up(data, run.config)))
        columns = found.columns(data.particles.ids)
        with written_atomically(options.out) as temporary:
            columns.reset_index().to_csv(temporary, index=False)
    run.save_extras(with_columns(run.extras(), columns))
    low = int((columns["trust"] < 0.5).sum())
    print(
        f"{len(columns)} particles, error of one {found.error:.2f}; {low} hold less than half of "
        "the map that all share: false picks, or poses that are far off"
    )
    say(f"→ {options.out}, and the column trust of the run")
    return 0


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
