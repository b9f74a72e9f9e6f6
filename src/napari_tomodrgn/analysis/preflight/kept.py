"""Answers of a preflight that a run keeps: ``analysis/checks.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from napari_tomodrgn.data.checks import Check
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import write_text
from napari_tomodrgn.learn.run.directory import Run


def checks_file(run: Run) -> Path:
    """Where a run keeps what was asked of its images."""
    return run.analysis.folder / "checks.json"


def keep_checks(run: Run, checks: Iterable[Check]) -> None:
    """Keep what was asked of the images, in place of what was kept before."""
    text = json.dumps([asdict(one) for one in checks], indent=2, ensure_ascii=False)
    write_text(checks_file(run), text + "\n")


def kept_checks(run: Run) -> tuple[Check, ...]:
    """What was asked of the images of a run, in the order asked; nothing where nothing was.

    Raises
    ------
    BadInputError
        If the file holds no such answers.
    """
    path = checks_file(run)
    if not path.exists():
        return ()
    try:
        return TypeAdapter(tuple[Check, ...]).validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BadInputError(
            f"{path}: not the answers of checks.",
            code="bad-checks",
            remedy="Delete it and check the physics again.",
        ) from error
