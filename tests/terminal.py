"""Commands as a terminal runs them: ended well, or refused in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_tomodrgn.cli import main

if TYPE_CHECKING:
    import pytest


def done(*arguments: object) -> None:
    """Run a command that must end well."""
    assert main([str(one) for one in arguments]) == 0


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run a command that must exit with 2; the last line that it said."""
    capsys.readouterr()
    assert main([str(one) for one in arguments]) == 2
    return capsys.readouterr().err.strip().splitlines()[-1]
