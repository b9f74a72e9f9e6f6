"""The form that a configuration draws."""

from __future__ import annotations

from typing import Any

import pytest

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.widgets.config_form import ConfigForm


def _all_fields() -> tuple[str, ...]:
    config = RunConfig()
    groups = ("data", "weight", "model", "train")
    nested = [
        f"{group}.{name}" for group in groups for name in type(getattr(config, group)).model_fields
    ]
    return ("method", "seed", *nested)


def test_every_field_can_be_drawn_and_comes_back_as_it_was(qtbot: Any) -> None:
    config = RunConfig.model_validate({"train": {"learning_rate": 1e-4, "beta": 0.25}})
    form = ConfigForm(config, _all_fields())
    qtbot.addWidget(form)
    assert form.config() == config


def test_what_is_typed_is_in_the_configuration(qtbot: Any) -> None:
    form = ConfigForm(
        RunConfig(), ("train.epochs", "train.learning_rate", "data.ctf_premultiplied")
    )
    qtbot.addWidget(form)
    form.set_value("train.epochs", 7)
    form.set_value("train.learning_rate", 3e-5)
    form.set_value("data.ctf_premultiplied", True)
    config = form.config()
    assert config.train.epochs == 7
    assert config.train.learning_rate == pytest.approx(3e-5)
    assert config.data.ctf_premultiplied is True


@pytest.mark.parametrize("typed", ["-1", "fast", "nan"])
def test_a_bad_value_is_named_by_its_title(qtbot: Any, typed: str) -> None:
    form = ConfigForm(RunConfig(), ("train.learning_rate",))
    qtbot.addWidget(form)
    form.set_value("train.learning_rate", typed)
    with pytest.raises(BadInputError, match=r"^Learning rate must be .*, got") as refused:
        form.config()
    assert "Input should" not in str(refused.value)


def test_fields_are_explained(qtbot: Any) -> None:
    form = ConfigForm(RunConfig(), ("train.batch_size",))
    qtbot.addWidget(form)
    tips = {child.toolTip() for child in form.findChildren(type(form).__mro__[1])}
    assert "Particles per step. (at least 1, at most 4,096)" in tips


def test_what_nothing_means_stands_in_the_line_and_may_be_typed(qtbot: Any) -> None:
    fields = ("data.particles", "data.tomograms", "data.max_tilts", "data.exclude_tilts")
    form = ConfigForm(RunConfig(), (*fields, "model.encoding_features"))
    qtbot.addWidget(form)
    shown = {name: form._editors[name].native.placeholderText() for name in form._editors}
    assert list(shown.values()) == ["all", "all", "all", "none", "automatic"]
    for name, words in shown.items():
        form.set_value(name, words)
    assert form.config() == RunConfig()
