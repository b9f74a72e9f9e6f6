"""How classes are shared out between the conditions that a run was asked about last."""

from __future__ import annotations

from html import escape

import pandas as pd

from napari_tomodrgn.analysis.latents.class_shares import (
    ClassShares,
    conditions_file,
    read_conditions,
    shares_of_run,
)
from napari_tomodrgn.analysis.latents.figures import share_chart
from napari_tomodrgn.analysis.report.charts import columns_table
from napari_tomodrgn.analysis.report.classes import Classes
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.directory import Run

_SURE = 0.05  # p, times the number of clusters


def condition_section(run: Run, latents: pd.DataFrame, classes: Classes) -> str:
    """Figure and table of shares, or why there is none."""
    if not conditions_file(run).exists():
        return (
            "<p>Not asked: give each tomogram its condition (Validate in the window, or "
            "<code>shares</code>).</p>"
        )
    if not classes.names:
        return "<p>There are no clusters to share out.</p>"
    codes = pd.Series(classes.codes, latents.index)
    names = codes[codes >= 0].map(dict(enumerate(classes.names)))
    try:
        found = shares_of_run(run, names, read_conditions(conditions_file(run)))
    except BadInputError as error:
        return f"<p>{escape(str(error))}</p>"
    chart = share_chart(found.table, found.p_values)
    return f"{chart}<p>{escape(share_words(found))}</p>{columns_table(share_table(found))}"


def share_words(found: ClassShares) -> str:
    """Which clusters conditions differ in, and how that was found."""
    told = {kind: p for kind, p in found.p_values.items() if p == p}
    if not told:
        words = "Whether conditions differ is not tested: one of them has a single tomogram."
    else:
        least = min(told, key=lambda kind: told[kind])
        few = told[least] * len(told) < _SURE
        said = "Conditions differ in cluster" if few else "Conditions do not surely differ: cluster"
        of = f" is the smallest of {len(told)}" if len(told) > 1 else ""
        words = f"{said} {least} (p {told[least]:.2g}{of})."
    if found.agreement is None:
        return f"{words} Shares are not corrected for confusion of clusters."
    return (
        f"{words} Shares are corrected for confusion: tilt halves put {found.agreement:.0%} of the "
        "particles into the same cluster."
    )


def share_table(found: ClassShares) -> pd.DataFrame:
    """The table as one reads it."""
    table = found.table.copy()
    for name in ("share", "corrected", "low", "high"):
        table[name] = [f"{value:.1%}" if value == value else "" for value in table[name]]
    return table
