"""What latents and states go with: things that are no structure, and where particles are."""

from __future__ import annotations

from html import escape

import pandas as pd

from napari_tomodrgn.analysis.latents.audit import audit
from napari_tomodrgn.analysis.report.charts import columns_table
from napari_tomodrgn.analysis.report.classes import Classes
from napari_tomodrgn.analysis.tomogram.context_tests import ContextTest, digest_of, kept_tests
from napari_tomodrgn.column_labels import column_label
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.run.directory import Run

_CLUSTER = "cluster"
_AUDITED = ["nuisance", "effect", "p_value", "verdict"]


def audit_section(latents: pd.DataFrame, particles: ParticleSet) -> str:
    """Share of the latents' variance that goes with poses, defocus, dose, place."""
    table = audit(latents, particles)
    if table.empty:
        return "<p>Nothing that is no structure varies.</p>"
    return columns_table(table[_AUDITED].rename(columns={"p_value": "p"}))


def context_section(run: Run, latents: pd.DataFrame, classes: Classes) -> str:
    """Each test of a state against surroundings that the run keeps."""
    try:
        tests = kept_tests(run)
    except BadInputError as error:
        return f"<p>{escape(str(error))}</p>"
    if not tests:
        return (
            "<p>Not asked: <i>Context</i> beside a tomogram tests whether a state goes with where "
            "particles are.</p>"
        )
    names = pd.Series(classes.codes, latents.index)
    names = names[names >= 0].map(dict(enumerate(classes.names)))
    return "".join(_test(one, digest_of(names)) for one in tests)


def _test(test: ContextTest, clusters: str) -> str:
    table = test.table.sort_values(["p_value", "effect"], ascending=[True, False])
    words = test.sentence
    if test.state == _CLUSTER and test.digest != clusters:
        words += " These are earlier clusters: others were made since."
    shown = pd.DataFrame(
        {
            "column": [column_label(str(name)) for name in table.index],
            "measure": table["measure"].str.replace("_", " ").to_numpy(),
            "effect": table["effect"].to_numpy(float),
            "p": table["p_value"].to_numpy(float),
            "q": table["q_value"].to_numpy(float),
            "particles": table["particles"].to_numpy(),
        }
    )
    return f"<p>{escape(words)}</p>{columns_table(shown)}"
