"""`Controller`: one per viewer. Holds the session and its services, and closes them.

Panels write wishes into the session or call a service; results come back through the session.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tomodrgn.config import ReadingConfig
from napari_tomodrgn.gui.window.registry import ServiceRegistry
from napari_tomodrgn.session import Session

if TYPE_CHECKING:
    from napari.viewer import Viewer


class Controller(ServiceRegistry):
    """The services of one viewer's window, and what can be asked of it as a whole."""

    def __init__(self, viewer: Viewer, session: Session | None = None) -> None:
        super().__init__(session or Session(), viewer)

    def open(self, path: str | Path, options: ReadingConfig | None = None) -> None:
        """Open a star file or a run directory."""
        self.opening.request(Path(path), options)

    def open_prepared(self, prepare: Callable[[], Path], note: str = "") -> None:
        """Open what ``prepare`` returns from a thread, then show ``note``."""
        self.opening.request_prepared(prepare, note)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way: no file, decoding, training, or other computation."""
        return not self.is_busy

    def leave(self) -> None:
        """Take what was drawn out of a viewer that stays, then close.

        Another window of ours would not know it, and draw its own among it.
        """
        if self.session.canvas_mode == "comparison":
            self.session.canvas_mode = "particle"
        self.session.reset()
        self.close()
        self.canvas_fit.give_back()  # which nothing follows any more

    def close(self) -> None:
        """Stop everything; nothing touches the viewer any more, which may be gone."""
        super().close()
        self.session.disconnect_all()
        for key in [key for key, one in _controllers.items() if one is self]:
            del _controllers[key]


_controllers: weakref.WeakValueDictionary[int, Controller] = weakref.WeakValueDictionary()


def controller_of(viewer: Viewer) -> Controller | None:
    """Return the controller of a viewer's window, if one is open."""
    return _controllers.get(id(_unwrapped(viewer)))


def register(viewer: Viewer, controller: Controller) -> None:
    """Make this the controller of the viewer for as long as it lives."""
    _controllers[id(_unwrapped(viewer))] = controller


def _unwrapped(viewer: Viewer) -> Any:
    return getattr(viewer, "__wrapped__", viewer)
