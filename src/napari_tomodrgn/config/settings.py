"""Settings from a file, from flags and from a run: checked, and every fault said in a sentence."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from napari_tomodrgn.config.run import RunConfig
from napari_tomodrgn.errors import BadInputError

Config = TypeVar("Config", bound=BaseModel)
# Of a run these may be others when it goes on: they change where and how, not what is computed.
_MAY_CHANGE = {"train.device", "train.save_seconds", "data.memory_gb"}

_PLAIN_WORDS = {
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "greater than": "larger than",
    "less than": "smaller than",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid boolean": "true or false",
    "a valid string": "text",
}


def validated(
    kind: type[Config],
    values: Mapping[str, object],
    source: str = "",
    names: Mapping[str, str] | None = None,
) -> Config:
    """A configuration with these values.

    Parameters
    ----------
    kind
        The class.
    values
        Nested mapping of its fields.
    source
        File that they come from, which the sentence begins with.
    names
        What fields (dotted) are called where the user gave them, such as ``--epochs``.

    Raises
    ------
    BadInputError
        Of the first field that is unknown or out of bounds: what was given, what is allowed, and
        of an unknown one which was probably meant.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(part for part in first["loc"] if isinstance(part, str))
        name = (names or {}).get(field, field)
        begin = f"{source}: " if source else ""
        if not field:  # fields that do not go together
            words = str(first["msg"]).removeprefix("Value error, ").rstrip(".")
            raise BadInputError(f"{begin}{words}.", code="bad-config") from error
        if first["type"] == "extra_forbidden":
            raise BadInputError(
                f"{begin}there is no setting {name}.",
                remedy=_nearest(kind, field),
                code="bad-config",
            ) from error
        raise BadInputError(
            f"{begin}{name} {_allowed(first)}, got {_plain(first['input'])}.", code="bad-config"
        ) from error


def read_config(path: str | Path) -> RunConfig:
    """Read a TOML file with the tables ``data``, ``weight``, ``model``, ``train`` and ``linear``.

    Raises
    ------
    BadInputError
        If the file is absent, not TOML, or has a field that is unknown or out of bounds.
    """
    path = Path(path)
    try:
        # A byte order mark, as editors on Windows write it, is no part of TOML.
        text = path.read_text(encoding="utf-8-sig")
        return validated(RunConfig, tomllib.loads(text), str(path))
    except OSError as error:
        raise BadInputError(
            f"{path}: cannot be read ({error.strerror}).", code="no-file"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInputError(f"{path}: not a TOML file ({error}).", code="bad-config") from error


def resumed(run: str | Path, trained: RunConfig, given: RunConfig | None) -> RunConfig:
    """The configuration that a run goes on with: its own, of more epochs if so many are given.

    Parameters
    ----------
    run
        The run directory, for the sentence.
    trained
        Configuration of the run.
    given
        What is asked for now: only fields that were set count (`BaseModel.model_fields_set`).

    Raises
    ------
    BadInputError
        If a field was given that differs, with both values; or fewer epochs.
    """
    if given is None:
        return trained
    given = given.as_trained()
    changes: dict[str, object] = {}
    for name, value in _given_fields(given):
        before = _value(trained, name)
        if value == before:
            continue
        longer = name == "train.epochs" and given.train.epochs > trained.train.epochs
        if longer or name in _MAY_CHANGE:
            changes[name] = value
            continue
        raise BadInputError(
            f"{run}: was trained with {name} {_plain(before)}, now {_plain(value)} is given.",
            remedy="Leave it out to go on with the run, or train a new one.",
            code="other-settings",
        )
    settings = trained.model_dump()
    for name, value in changes.items():
        table, field = name.split(".")
        settings[table][field] = value
    return RunConfig.model_validate(settings)


def _given_fields(config: BaseModel, begin: str = "") -> Iterator[tuple[str, object]]:
    """Dotted names and values of the fields that were set, those of tables one by one."""
    for name in type(config).model_fields:
        if name in config.model_fields_set:
            value = getattr(config, name)
            if isinstance(value, BaseModel):
                yield from _given_fields(value, f"{begin}{name}.")
            else:
                yield f"{begin}{name}", value


def _value(config: BaseModel, name: str) -> object:
    value: object = config
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _allowed(error: Mapping[str, object]) -> str:
    """What pydantic says of a value, as one says it of a setting."""
    words = str(error["msg"]).removeprefix("Value error, ").split(", unable")[0]
    for theirs, ours in _PLAIN_WORDS.items():
        words = words.replace(theirs, ours)
    for begin in ("Input should be ", "must be "):
        if words.startswith(begin):
            return f"must be {words.removeprefix(begin)}"
    return f"is wrong: {words}"


def _plain(value: object) -> str:
    """A value as one writes it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value)) or "nothing"
    return str(value)


def _nearest(kind: type[BaseModel], field: str) -> str:
    names = list(_all_fields(kind))
    by_last = {name.rpartition(".")[2]: name for name in names}
    found = get_close_matches(field, names, 1) or get_close_matches(
        field.rpartition(".")[2], by_last, 1
    )
    return f"Did you mean {by_last.get(found[0], found[0])}?" if found else ""


def _all_fields(kind: type[BaseModel], begin: str = "") -> Iterator[str]:
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _all_fields(field.annotation, f"{begin}{name}.")
        else:
            yield f"{begin}{name}"
