"""Conditions choose the rows that they name, and nothing in them is ever run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_tomodrgn.analysis.expressions import parse, where
from napari_tomodrgn.errors import BadInputError

TABLE = pd.DataFrame(
    {
        "cluster": pd.Categorical(["01", "03", "02", "03", "10"]),
        "depth": [100.0, 500.0, 300.0, np.nan, 399.9],
        "tomogram": ["TS_01", "TS_02", "TS_01", "TS_03", None],
        "UMAP 1": [0.5, -2.0, 3.5, 1.0, 4.0],
        "bound": [True, False, True, True, False],
        "rlnClassNumber": ["1", "2", "1", "2", "3"],
        "in.tomogram": [1, 2, 3, 4, 5],
    }
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("depth < 400", [0, 2, 4]),
        ("cluster in (1, 3)", [0, 1, 3]),
        ("cluster in ('03', '10',)", [1, 3, 4]),
        ("cluster not in (1, 3) and depth < 400", [2, 4]),
        ("tomogram not in ('TS_01')", [1, 3]),
        ("cluster in (1,3) and not tomogram == 'TS_02'", [0, 3]),
        ("depth >= 300 or bound", [0, 1, 2, 3, 4]),
        ("not bound", [1, 4]),
        ("100 < depth <= 399.9", [2, 4]),
        ("`UMAP 1` > 1e0 and `UMAP 1` < 4", [2]),
        ("tomogram != 'TS_01'", [1, 3]),
        ("depth != 100", [1, 2, 4]),
        ("rlnClassNumber = 2", [1, 3]),
        ("(depth > 400 or depth < 200) and cluster != 1", [1]),
        ("in.tomogram >= 4", [3, 4]),
        ("not not bound", [0, 2, 3]),
        ("abs(zscore(`UMAP 1`)) > 1.3", [1]),
        ("cluster == 3 and depth > -1", [1]),
        ('tomogram >= "TS_02"', [1, 3]),
        ("1 == 1", [0, 1, 2, 3, 4]),
    ],
)
def test_rows(text: str, rows: list[int]) -> None:
    assert np.flatnonzero(where(text, TABLE)).tolist() == rows


def test_names_that_are_asked_for() -> None:
    assert parse("a > 1 and `b c` in (1) or abs(d) < a").names == ("a", "b c", "d")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a column"),
        ("depth <", "expected a column"),
        ("depth < 400 and", "expected a column"),
        ("depth 400", "'400' is one too many"),
        ("cluster in 3", r"expected '\('"),
        ("cluster in (1, depth)", "expected a number or a word"),
        ("(depth < 3", r"expected '\)', found the end"),
        ("depht < 3", "no column is called 'depht'; there are depth"),
        ("UMAP1 < 3", "`UMAP 1`"),
        ("tomogram < 3", "holds words such as 'TS_01'"),
        ("depth", "neither true nor false"),
        ("depth and cluster == 3", "neither true nor false"),
        ("depth @ 3", "'@' means nothing here"),
        ("depth < 3; import os", "';' means nothing here"),
        ("__import__('os').system('true')", "means nothing here"),
        ("depth.__class__ == 3", "no column is called 'depth.__class__'"),
        ("open('/etc/passwd')", "one too many"),
        ("(" * 60 + "depth < 3" + ")" * 60, "nested too deeply"),
        ("not " * 60 + "bound", "nested too deeply"),
        ("depth < 3 or " * 4000 + "bound", "too long"),
    ],
)
def test_what_is_no_condition_is_one_sentence(text: str, said: str) -> None:
    with pytest.raises(BadInputError, match=said) as error:
        where(text, TABLE)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@given(st.text(alphabet="depth cluster()<>=!'`\"andornti,0123.-+[]{}:@\\", max_size=40))
def test_any_text_is_a_condition_or_one_sentence(text: str) -> None:
    try:
        mask = where(text, TABLE)
    except BadInputError as error:
        assert "\n" not in str(error)
    else:
        assert mask.shape == (5,)
        assert mask.dtype == bool
