"""State of the window without a window: values of columns, events, what a selection means."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from napari_tomodrgn import particle_columns as module
from napari_tomodrgn.config import ReadingConfig
from napari_tomodrgn.particle_columns import ParticleTable
from napari_tomodrgn.session import LatentPoint, LoadedData, Session
from napari_tomodrgn.work_status import TrainingStatus


@pytest.fixture
def latents() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    mu = rng.normal(size=(50, 3)) * [5.0, 1.0, 0.2]
    table = pd.DataFrame({f"mu_{axis}": mu[:, axis] for axis in range(3)})
    table["logvar_0"] = 0.0
    table["tomogram"] = ["TS_1"] * 20 + ["TS_2"] * 30
    table.index = pd.Index([f"TS/{row}" for row in range(50)], name="particle_id")
    return table


@pytest.fixture
def particles(latents: pd.DataFrame) -> Any:
    rows = latents.index[::-1]  # another order: values must be joined by identity
    table = pd.DataFrame(
        {
            "tomogram": "TS",
            "particle": [name.split("/")[1] for name in rows],
            "tilts": [int(name.split("/")[1]) for name in rows],
            "state": ["a", "b"] * 25,
            "position_x_angstrom": np.nan,
        },
        index=rows,
    )
    return SimpleNamespace(particles=table)


def test_components_are_ordered_and_explain_the_variance(latents: pd.DataFrame) -> None:
    points = module.latent_matrix(latents)
    scores, share = module.principal_components(points)
    assert np.all(np.diff(share) <= 0)
    assert share.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(scores.var(axis=0, ddof=1) / points.var(axis=0, ddof=1).sum(), share)
    np.testing.assert_allclose(np.cov(scores.T) - np.diag(scores.var(axis=0, ddof=1)), 0, atol=1e-9)


def test_components_of_a_collapsed_latent_are_finite() -> None:
    scores, share = module.principal_components(np.ones((4, 3)))
    assert np.isfinite(scores).all()
    assert np.isfinite(share).all()


def test_names_of_axes_and_colors(latents: pd.DataFrame, particles: Any) -> None:
    axes = ParticleTable(latents, particles).axis_names
    assert axes[:4] == ["PC 1", "PC 2", "PC 3", "z 0"]
    assert "tilts" in axes
    assert "position_x_angstrom" not in axes, "a column without a value is no axis"
    colors = ParticleTable(latents, particles).color_names
    assert colors[0] == "tomogram"
    assert "state" in colors
    assert "particle" not in colors, "a name for every particle is no category"


def test_one_latent_dimension_is_a_strip(latents: pd.DataFrame, particles: Any) -> None:
    table = ParticleTable(latents[["mu_0", "tomogram"]], particles)
    names = table.axis_names
    assert names[:2] == ["z 0", "strip"]
    # So is one component beside which the others have vanished.
    flat = latents.assign(**{name: 1e-4 * latents[name] for name in ("mu_1", "mu_2")})
    names_of_flat = ParticleTable(flat, particles).axis_names
    assert names_of_flat[:4] == ["PC 1", "strip", "PC 2", "PC 3"]
    assert module.resolve_axes(("", ""), names_of_flat) == ("PC 1", "strip"), (
        "until they are chosen"
    )
    assert module.resolve_axes(("PC 1", "PC 2"), names_of_flat) == ("PC 1", "PC 2")
    assert module.resolve_axes(("PC 1", "PC 2"), names) == ("z 0", "strip")
    many = pd.DataFrame({"mu_0": np.random.default_rng(1).normal(size=2000), "tomogram": "TS"})
    table = ParticleTable(many)
    along, across = table.column("z 0").values, table.column("strip").values
    assert np.abs(across).max() <= 1
    middle = np.abs(along - np.median(along)) < np.std(along)
    wide, narrow = np.abs(across[middle]).mean(), np.abs(across[~middle]).mean()
    assert wide > 1.5 * narrow, "wide where there are many"
    assert "strip" not in ParticleTable(latents).axis_names


@pytest.mark.parametrize(("second", "flat"), [(0.0004, True), (0.0042, True), (0.008, False)])
def test_a_component_that_its_axis_calls_nothing_is_none(second: float, flat: bool) -> None:
    """Of the encoder, shares of 0.04 to 0.42 % come and go beside one component."""
    rng = np.random.default_rng(0)
    points, _ = np.linalg.qr(rng.normal(size=(400, 2)))
    points = (points - points.mean(axis=0)) * np.sqrt([1 - second, second])
    table = pd.DataFrame(points, columns=["mu_0", "mu_1"])
    label = module.axis_label(table, "PC 2")
    assert module.axis_label(table, "strip") == "", "its height measures nothing"
    assert ("strip" in ParticleTable(table).axis_names) == flat == (label == "PC 2 (0%)")


def test_star_columns_are_joined_by_identity(latents: pd.DataFrame, particles: Any) -> None:
    tilts = ParticleTable(latents, particles).column("tilts")
    np.testing.assert_array_equal(tilts.values, np.arange(50))
    assert not tilts.categorical


def test_categories(latents: pd.DataFrame) -> None:
    tomogram = ParticleTable(latents, None).column("tomogram")
    assert tomogram.categories == ("TS_1", "TS_2")
    assert np.bincount(tomogram.values).tolist() == [20, 30]


def test_extras_are_axes_colors_and_categories(latents: pd.DataFrame, particles: Any) -> None:
    rows = latents.index[:40][::-1]  # another order, and ten particles without a value
    number = np.array([int(name.split("/")[1]) for name in rows])
    added_columns = pd.DataFrame(
        {"UMAP 1": number / 2, "side": ["in", "out"] * 20, "tilts": 7}, index=rows
    )
    assert "UMAP 1" in ParticleTable(latents, particles, added_columns).axis_names
    assert "side" not in ParticleTable(latents, particles, added_columns).axis_names
    colors = ParticleTable(latents, particles, added_columns).color_names
    assert {"UMAP 1", "side", "state"} <= set(colors)
    assert len(colors) == len(set(colors))
    found = ParticleTable(latents, particles, added_columns).column("UMAP 1")
    np.testing.assert_array_equal(found.values[:40], np.arange(40) / 2)
    assert np.isnan(found.values[40:]).all()
    side = ParticleTable(latents, particles, added_columns).column("side")
    assert side.categories == ("in", "out")
    np.testing.assert_array_equal(side.values[40:], -1)
    # Of two columns of one name the one that was joined later is meant.
    assert ParticleTable(latents, particles, added_columns).column("tilts").values[0] == 7


def test_columns_are_added_by_identity(latents: pd.DataFrame) -> None:
    session = Session(latents=latents)
    session.add_columns(pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}, index=["TS/1", "TS/2"]))
    session.add_columns(pd.DataFrame({"b": [5.0, 6.0]}, index=["TS/2", "TS/3"]))
    table = session.added_columns
    assert table is not None
    assert table.loc["TS/2"].to_dict() == {"a": 2.0, "b": 5.0}
    assert table.loc["TS/1"].isna().to_dict() == {"a": False, "b": True}
    assert table.loc["TS/3", "b"] == 6.0
    session.reset()
    assert session.added_columns is None


def test_unknown_column(latents: pd.DataFrame) -> None:
    with pytest.raises(KeyError, match="nonsense"):
        ParticleTable(latents, None).column("nonsense")


def test_limits_leave_out_what_is_not_finite() -> None:
    column = module.Column("x", np.array([np.nan, 1.0, 3.0, np.inf]))
    assert column.limits == (1.0, 3.0)
    assert module.Column("x", np.array([np.nan])).limits == (0.0, 1.0)


def test_mask_is_by_identity(latents: pd.DataFrame) -> None:
    mask = module.mask_of(latents, {"TS/3", "TS/7", "elsewhere/1"})
    assert np.flatnonzero(mask).tolist() == [3, 7]


def test_a_field_tells_of_changes_only() -> None:
    session, heard = Session(), []
    session.events.color.connect(lambda new, old: heard.append((old, new)))
    session.color = "tomogram"
    session.color = "tomogram"
    assert heard == [("", "tomogram")]


def test_tables_are_compared_by_identity(latents: pd.DataFrame) -> None:
    session, heard = Session(), []
    session.events.latents.connect(lambda new: heard.append(new))
    session.latents = latents
    session.latents = latents
    session.latents = latents.copy()
    assert len(heard) == 2


def test_the_same_sentence_is_shown_again() -> None:
    session, heard = Session(), []
    session.events.message.connect(lambda new: heard.append(new.text))
    session.show_message("No such file.", "error")
    session.show_message("No such file.", "error")
    assert heard == ["No such file."] * 2


OURS = {one.name: one.metadata.get("owner") for one in fields(Session)}


def _changed(name: str) -> Any:
    """A value that differs from the default of a field."""
    default = getattr(Session(), name)
    if isinstance(default, str):
        return f"{default} x"
    if isinstance(default, (int, float)):
        return default + 1
    # As far as a new run looks into them: nothing in them is of the run before.
    looked_into = {"added_columns": {"columns": ["mine"]}, "validation": {"folder": None}}
    return SimpleNamespace(**looked_into[name]) if name in looked_into else object()


def test_every_field_says_what_it_belongs_to() -> None:
    assert set(OURS.values()) == {"data", "run", "window"}
    # What a user sees of one data set, and must not see of the next.
    assert all(
        OURS[name] in ("data", "run")
        for name in (
            *("decoded", "focused", "latents", "metrics", "color", "axes", "validation", "pinned"),
            *("sigma", "lowpass", "style", "surface_color", "tomogram", "selection", "overview"),
        )
    )


@pytest.mark.parametrize("name", [name for name in OURS if name != "message"])
def test_opening_and_training_reset_what_belongs_to_the_old(name: str) -> None:
    default = getattr(Session(), name)
    session = Session(**{name: _changed(name)})
    session.start_run(TrainingStatus("training"))
    assert (getattr(session, name) == default) == (OURS[name] == "run") or name == "training"
    session = Session(**{name: _changed(name)})
    session.open(LoadedData(Path("new.star"), ReadingConfig()))
    left = getattr(session, name)
    assert left == default or OURS[name] == "window" or (name, left) == ("source", Path("new.star"))


def test_what_was_worked_out_of_latents_goes_with_them(latents: pd.DataFrame) -> None:
    """Clusters, UMAP and the like are no columns of the next run; the user's own are."""
    found = {"cluster": "1", "UMAP 1": 0.0, "UMAP 2": 0.0, "trust": 1.0, "neighbour_state": "1"}
    session = Session(latents=latents, epoch=20)
    session.add_columns(pd.DataFrame({"mine": 1.0, **found}, index=latents.index))
    validation: Any = SimpleNamespace(folder=Path("first/analysis"))
    session.update(color="cluster", validation=validation, class_map=("TS/1", "cluster 1"))
    session.start_run(TrainingStatus("training"))
    assert session.added_columns is not None and list(session.added_columns) == ["mine"]
    assert (session.color, session.validation, session.class_map) == ("", None, None)
    session.add_columns(pd.DataFrame({"cluster": "1"}, index=latents.index))
    session.color = "mine"
    session.start_run(TrainingStatus("training"))
    assert session.color == "mine"


def test_clusters_of_an_earlier_epoch_are_told_as_such(latents: pd.DataFrame) -> None:
    session = Session(latents=latents, epoch=20, color="cluster")
    run = SimpleNamespace(config=None)
    clusters = pd.DataFrame({"cluster": "1"}, index=latents.index)
    session.add_columns(clusters)
    assert session.outdated == ""
    session.show_latents(cast("Any", run), latents.copy(), 30, None)
    assert session.outdated == "of epoch 20"
    session.add_columns(pd.DataFrame({"UMAP 1": 0.0}, index=latents.index))
    assert session.outdated == "of epoch 20"
    session.color = "tomogram"
    assert session.outdated == ""
    session.color = "cluster"
    session.add_columns(clusters)
    assert session.outdated == ""
    opened = Session(latents=latents, epoch=5, color="cluster", added_columns=clusters)
    opened.show_latents(cast("Any", run), latents.copy(), 6, None)  # it goes on
    assert opened.outdated == "of epoch 5"


def test_nobody_hears_of_half_an_opened_set(latents: pd.DataFrame) -> None:
    session = Session(latents=latents, focused="TS/1", epoch=4, sigma=5.0)
    heard: list[tuple[str, Any]] = []

    def listen(name: str) -> None:
        def hear(new: Any, old: Any) -> None:
            assert (session.epoch, session.focused, session.sigma) == (7, None, 3.0)
            heard.append((name, old))

        session.events[name].connect(hear)

    for name in OURS:
        listen(name)
    session.open(LoadedData(Path("run"), ReadingConfig(), latents=latents.copy(), epoch=7))
    assert dict(heard).keys() == {"source", "latents", "epoch", "focused", "sigma"}
    assert dict(heard)["focused"] == "TS/1"


def test_another_epoch_is_another_space(latents: pd.DataFrame) -> None:
    session = Session(latents=latents, free_point=LatentPoint((0.0,), 3), focused="TS/1", frame=2)
    run: Any = object()
    session.show_latents(run, latents.copy(), 5, None)
    assert (session.free_point, session.frame, session.epoch) == (None, 0, 5)
    assert session.focused == "TS/1"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("rot_deg", "rot (°)"),
        ("position_x_angstrom", "position x (Å)"),
        ("dose_e_per_angstrom2", "dose (e⁻/Å²)"),
        ("density_per_nm3", "density (1/nm³)"),
        ("neighbours_within", "neighbours within"),
        ("rlnAnglePsi", "rlnAnglePsi"),
        ("my_column", "my_column"),
    ],
)
def test_columns_are_called_as_people_say(name: str, label: str) -> None:
    assert module.column_label(name) == label


def test_a_colour_that_the_table_lacks_is_none(latents: pd.DataFrame) -> None:
    session = Session(latents=latents, color="cluster")
    assert session.color_column is None
    for name in ("PC 9", "z 7", "selections"):
        session.color = name
        assert session.color_column is None
    session.color = "tomogram"
    assert session.color_column is not None
