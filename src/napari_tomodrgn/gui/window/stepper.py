"""The steps of the work as a row of buttons: where one is, what is done, what comes next."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QButtonGroup, QToolButton, QWidget
from superqt import QFlowLayout

from napari_tomodrgn.gui.charts.painting import ChartColors
from napari_tomodrgn.gui.widgets.qt import Signal
from napari_tomodrgn.particle_columns import CLUSTER
from napari_tomodrgn.session import Session

STEPS = {
    "Particles": "Open particles or a run, and check them",
    "Training": "Train on the particles, or resume a run",
    "Explore": "Particles in their tomogram, and the latent space below",
    "Validate": "Name selections, reconstruct them from the images, compare two groups",
    "Export": "Write maps, star files, scenes and pictures",
}


_DONE = "#2f8f5b"


class Stepper(QWidget):
    """One button a step; the next one to take is marked."""

    step_chosen = Signal(int)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.buttons: dict[str, QToolButton] = {}
        # Two rows where one would cut the names off.
        row, group = QFlowLayout(self), QButtonGroup(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setHorizontalSpacing(0)
        row.setVerticalSpacing(2)
        for number, (name, tip) in enumerate(STEPS.items()):
            button = QToolButton()
            button.setText(name)
            button.setCheckable(True)
            button.setToolTip(tip)
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            button.clicked.connect(
                lambda _checked=False, number=number: self.step_chosen.emit(number)
            )
            group.addButton(button)
            row.addWidget(button)
            self.buttons[name] = button
        for name in (
            "particles",
            "run",
            "latents",
            "training",
            "selection",
            "selections",
            "added_columns",
            "checks",
            "validation",
            "comparison",
        ):
            session.events[name].connect(self.refresh)
        self.refresh()

    def show_step(self, number: int) -> None:
        """Mark the step that is on show."""
        list(self.buttons.values())[number].setChecked(True)

    def set_theme(self, theme: ChartColors) -> None:
        """Take the colours of the theme."""
        self.setStyleSheet(
            # The borders are there always, so that nothing moves when a step is done.
            "QToolButton { padding: 3px 1px; border-radius: 3px; border: 1px solid transparent;"
            " border-bottom: 3px solid transparent; }"
            f"QToolButton:checked {{ background: {theme.highlight}; }}"
            f"QToolButton[state='done'] {{ border-bottom: 3px solid {_DONE}; }}"
            # Of another colour than the frame of the keyboard's focus, which comes and goes.
            f"QToolButton[state='next'] {{ border: 1px solid {theme.highlight};"
            f" border-bottom: 3px solid {theme.highlight}; }}"
            f"QToolButton:focus {{ border: 1px solid {theme.text}; }}"
        )

    def refresh(self, *_: object) -> None:
        """Underline what is done and frame what comes next."""
        done, following = done_steps(self._session), next_step(self._session)
        for name, button in self.buttons.items():
            state = "done" if name in done else "next" if name == following else ""
            if state == button.property("state"):
                continue  # a training says several times a second how far it is
            button.setAccessibleName(f"{name}, {state}" if state else name)
            button.setProperty("state", state)
            style: Any = button.style()
            style.unpolish(button)
            style.polish(button)


def done_steps(session: Session) -> set[str]:
    """Return the steps whose result is there."""
    done = set()
    if session.particles is not None or session.run is not None:
        done.add("Particles")
    if session.latents is not None and not session.training.busy:
        done.add("Training")
    if session.run is not None and _judged(session):
        done.add("Validate")
    return done


def next_step(session: Session) -> str:
    """Return the one step to take now."""
    if session.particles is None and session.run is None:
        return "Particles"
    if session.latents is None:
        return "Training"
    if _judged(session):
        return "Export"
    grouped = session.selection or session.selections or _has_clusters(session)
    return "Validate" if grouped else "Explore"


def _has_clusters(session: Session) -> bool:
    """Whether there are clusters, of the window or of `analyze`, and images to compare them."""
    if not session.has_images:
        return False
    tables = (session.latents, session.added_columns)
    return any(table is not None and CLUSTER in table.columns for table in tables)


def _judged(session: Session) -> bool:
    """Whether the images were asked about a selection, or about two groups.

    A quick reconstruction of the whole set, which is kept nowhere, says nothing about the run.
    """
    found = session.validation
    return session.comparison is not None or (found is not None and found.folder is not None)
