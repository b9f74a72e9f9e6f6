"""Draws a form from a pydantic configuration and gives a new one back; knows no field by name."""

from __future__ import annotations

from collections.abc import Collection
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from magicgui.widgets import create_widget
from qtpy.QtWidgets import QComboBox, QFormLayout, QWidget

from napari_tomodrgn.config import validated
from napari_tomodrgn.gui.widgets.letter_size import LetterSize
from napari_tomodrgn.gui.widgets.qt import Signal, make_label

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

_AUTOMATIC = "automatic"
_LARGEST = 2**31 - 1
_FRAME_PX = 14  # around the words in a line


class ConfigForm(QWidget):
    """Editors of some fields of a configuration.

    Parameters
    ----------
    config
        Frozen configuration, with the values to begin with.
    fields
        Names of the fields to show, dotted: ``"train.epochs"``.
    """

    changed = Signal()

    def __init__(
        self, config: BaseModel, fields: tuple[str, ...], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._config = config
        self._editors: dict[str, Any] = {}
        self._labels: dict[str, QWidget] = {}
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for path in fields:
            field, value = _field(config, path)
            editor = _editor(path, field, value)
            self._editors[path] = editor
            editor.changed.connect(lambda _value=None: self.changed.emit())
            label = make_label(field.title or path)
            for widget in (label, editor.native):
                widget.setToolTip(explanation(field))
            editor.native.setAccessibleName(field.title or path)
            self._labels[path] = label
            layout.addRow(label, editor.native)

    def config(self) -> Any:
        """The configuration with what stands in the form.

        Raises
        ------
        BadInputError
            If a value is out of bounds, or no number.
        """
        values = self._config.model_dump()
        for path in self._editors:
            *parents, name = path.split(".")
            target = values
            for parent in parents:
                target = target[parent]
            target[name] = self.value(path)
        titles = {path: _field(self._config, path)[0].title or path for path in self._editors}
        return validated(type(self._config), values, names=titles)

    def set_config(self, config: BaseModel) -> None:
        """Show the values of another configuration of the same type."""
        self._config = config
        for path in self._editors:
            self.set_value(path, _field(config, path)[1])

    def show_only(self, fields: Collection[str]) -> None:
        """Show these of its fields; the others keep their values."""
        for path, editor in self._editors.items():
            for widget in (self._labels[path], editor.native):
                widget.setVisible(path in fields)

    def value(self, path: str) -> Any:
        """What stands in the form, as it was typed."""
        words = _value(self._editors[path])
        if get_origin(_field(self._config, path)[0].annotation) is dict:
            return _pairs(words or "")
        return words

    def set_value(self, path: str, value: Any) -> None:
        """Put a value into the form."""
        editor = self._editors[path]
        editor.value = _shown(value) if editor.widget_type == "LineEdit" else value


def explanation(field: FieldInfo) -> str:
    """What a field means, and within which bounds."""
    words = field.description or f"{field.title}."
    parts = [
        f"{sign} {getattr(bound, name):,g}"
        for bound in field.metadata
        for name, sign in (("gt", "above"), ("ge", "at least"), ("lt", "below"), ("le", "at most"))
        if getattr(bound, name, None) is not None
    ]
    return f"{words} ({', '.join(parts)})" if parts else words


def _field(config: BaseModel, path: str) -> tuple[FieldInfo, Any]:
    *parents, name = path.split(".")
    for parent in parents:
        config = getattr(config, parent)
    return type(config).model_fields[name], getattr(config, name)


def _editor(path: str, field: FieldInfo, value: Any) -> Any:
    kind = field.annotation
    name = path.replace(".", "_")
    words, optional = _choices(kind)
    if words:
        return _combo(name, value, words, optional=optional)
    if get_origin(kind) in (Union, UnionType) and bool in get_args(kind):
        return _combo(name, value, (True, False), optional=True)
    if kind is bool:
        return create_widget(value, name=name, widget_type="CheckBox")
    if kind is int:
        low, high = _bounds(field)
        options: dict[str, Any] = {"min": low, "max": high}
        return create_widget(value, name=name, widget_type="SpinBox", options=options)
    # Numbers such as 1e-4 cannot be typed into a spin box: it rounds them away.
    editor: Any = create_widget(_shown(value), name=name, widget_type="LineEdit")
    line: Any = editor.native
    line.setPlaceholderText(shown := _when_empty(field))

    def fit() -> None:
        line.setMinimumWidth(line.fontMetrics().horizontalAdvance(shown) + _FRAME_PX)

    LetterSize(line, fit)
    return editor


def _when_empty(field: FieldInfo) -> str:
    """What nothing in a line means: the field says so, or the program chooses."""
    said = field.json_schema_extra
    if isinstance(said, dict) and "empty" in said:
        return str(said["empty"])
    return _AUTOMATIC if NoneType in get_args(field.annotation) else ""


def _combo(name: str, value: Any, words: tuple[Any, ...], *, optional: bool) -> Any:
    texts = {True: "yes", False: "no"} if bool in map(type, words) else {}
    choices = [(texts.get(word, str(word).replace("_", " ")), word) for word in words]
    choices = [(_AUTOMATIC, None), *choices] if optional else choices
    editor = create_widget(
        value, name=name, widget_type="ComboBox", options={"choices": choices, "nullable": False}
    )
    box: Any = editor.native
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    # A long word among many is no reason for a wide dock.
    box.setMinimumContentsLength(len(_AUTOMATIC) if optional else 6)
    if optional:  # magicgui has dashes of its own for None
        box.setItemText(box.findText("-----"), _AUTOMATIC)
    return editor


def _choices(kind: Any) -> tuple[tuple[Any, ...], bool]:
    """The words of a Literal, and whether None is one more of them; no words for other types."""
    if get_origin(kind) is Literal:
        return get_args(kind), False
    for part in get_args(kind) if get_origin(kind) in (Union, UnionType) else ():
        if get_origin(part) is Literal:
            return get_args(part), NoneType in get_args(kind)
    return (), False


def _bounds(field: FieldInfo) -> tuple[int, int]:
    low, high = -_LARGEST, _LARGEST
    for bound in field.metadata:
        low = max(low, getattr(bound, "ge", low), getattr(bound, "gt", low - 1) + 1)
        high = min(high, getattr(bound, "le", high), getattr(bound, "lt", high + 1) - 1)
    return int(low), int(high)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} = {other}" for name, other in value.items())
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _value(editor: Any) -> Any:
    value = editor.value
    if editor.widget_type != "LineEdit":
        return value
    words = str(value).strip()
    return None if words in ("", _AUTOMATIC, editor.native.placeholderText()) else words


def _pairs(words: str) -> dict[str, str]:
    """``a = b, c = d`` as a table; what is no pair is a pair with nothing."""
    parts = [part.partition("=") for part in words.split(",") if part.strip()]
    return {name.strip(): other.strip() for name, _, other in parts}
