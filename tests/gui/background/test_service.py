"""What a service hears: all of it, whatever another one could not do."""

from __future__ import annotations

from typing import Any

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.gui.background.service import Service
from napari_tomodrgn.session import Session


def test_a_service_that_cannot_does_not_keep_others_from_hearing(qapp: Any) -> None:
    """A click on a particle of a run that was deleted changed one half of the window."""
    session, heard = Session(), []
    first, second = Service(session), Service(session)

    def fail(_new: object) -> None:
        raise BadInputError("run1: is not there any more.")

    first.listen(fail, "sigma")
    second.listen(lambda new, old: heard.append((new, old)), "sigma")
    before = session.sigma
    session.sigma = before + 1
    assert heard == [(before + 1, before)]
    assert session.message is not None
    assert session.message.text.startswith("run1: is not there any more.")
