"""Opening particles or a run, what was understood of them, and whether it can be right."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_tomodrgn.gui.background.error_message import IMPORT_FORM
from napari_tomodrgn.gui.charts.painting import ChartColors
from napari_tomodrgn.gui.extraction.panel import TITLE, ExtractionPanel
from napari_tomodrgn.gui.particles.check_list import CheckList
from napari_tomodrgn.gui.particles.import_form import ImportForm
from napari_tomodrgn.gui.particles.open_service import may_open
from napari_tomodrgn.gui.particles.overview_view import OverviewView
from napari_tomodrgn.gui.particles.summary_table import summary_rows, table_of
from napari_tomodrgn.gui.reconstruction.panel import ValidationPanel
from napari_tomodrgn.gui.widgets.collapsible import CollapsibleSection
from napari_tomodrgn.gui.widgets.qt import (
    ElidedLabel,
    Signal,
    clear_layout,
    make_button,
    make_label,
    make_tool_button,
    scrolled,
    set_next,
)
from napari_tomodrgn.gui.widgets.recent_paths import last_folder, recent, short_names
from napari_tomodrgn.session import NotOpened, Session

_HINT = (
    "Open the star file of your subtomogram-averaged particles (WarpTools, RELION, Warp/M, "
    "cryoSRPNT), or the folder of a finished training. Dropping it onto the window works, too."
)
_FAILED = f"If something was read wrongly, put it right under “{IMPORT_FORM}” and read again."


class ParticlesPanel(QWidget):
    """Buttons to open, a table of what was understood, checks, and what can be overridden."""

    open_requested = Signal(str)
    example_requested = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        buttons = self._opening_row()
        self.path = ElidedLabel("File or folder that is open")
        self.refused = self._make_refused()
        self.hint = make_label(_HINT)
        self.example = make_button(
            "Open the example",
            "A trained run that comes with the plugin: ribosomes in three states, in two tomograms",
            self.example_requested.emit,
        )
        self.checks = CheckList(session)
        self.reading = ImportForm(session)
        self.section = CollapsibleSection(
            IMPORT_FORM,
            self.reading,
            "Where the star file is wrong, silent, or its images were moved",
        )
        table = QWidget()
        self._table = QVBoxLayout(table)
        self._table.setContentsMargins(6, 0, 0, 0)
        self.summary_section = CollapsibleSection("Data set summary", table, open=True)
        self.look = OverviewView(session)
        self.overview_section = CollapsibleSection(
            "Look at the data",
            self.look,
            "Projections, tilt scheme, viewing directions and defocus of the particles",
        )
        self.overview_section.toggled.connect(self.look.request_overview)
        self.extraction = ExtractionPanel()
        self.extraction_section = CollapsibleSection(
            TITLE, self.extraction, "Cut 2-D tilt images out of tilt series, for a list without any"
        )
        self.quick = ValidationPanel(session, sample=True)
        self._lay_out(buttons)
        for name in ("source", "asked", "summary", "latents"):
            getattr(session.events, name).connect(self.refresh)
        self.refresh()

    def _opening_row(self) -> QHBoxLayout:
        """Buttons that open something, and the menu of what was opened before."""
        buttons = QHBoxLayout()
        self._openers: list[QPushButton] = []
        for text, tip, pressed in (
            ("Open star file…", "Particles and their tilt images", self._choose_star),
            ("Open run…", "Folder that a training wrote", self._choose_run),
        ):
            button = make_button(text, tip, pressed)
            buttons.addWidget(button, len(text))
            self._openers.append(button)
        self.recent = QToolButton()
        self.recent.setToolTip("Open again what was opened before")
        self.recent.setAccessibleName("Opened before")
        self.recent.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.recent.setArrowType(Qt.ArrowType.DownArrow)
        self._recent = QMenu(self.recent)
        self._recent.setToolTipsVisible(True)
        self._recent.aboutToShow.connect(self._list_recent)
        self.recent.setMenu(self._recent)
        buttons.addWidget(self.recent)
        return buttons

    def _make_refused(self) -> QWidget:
        """What could not be opened, until it is corrected or dismissed; what is open stays."""
        refused = QWidget()
        self.title = ElidedLabel("What was not opened")
        self.title.setStyleSheet("font-weight: bold;")
        self.dismiss = make_tool_button("✕", "Leave it", self._dismiss)
        layout = QVBoxLayout(refused)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        line = QHBoxLayout()
        line.addWidget(self.title, 1)
        line.addWidget(self.dismiss)
        layout.addLayout(line)
        layout.addWidget(make_label(_FAILED))
        return refused

    def _dismiss(self) -> None:
        self._session.asked = None

    def _lay_out(self, buttons: QHBoxLayout) -> None:
        page = QWidget()
        inner = QVBoxLayout(page)
        inner.setContentsMargins(0, 0, 6, 0)
        inner.addWidget(self.hint)
        inner.addWidget(self.example)
        inner.addWidget(self.extraction_section)
        shown = (self.summary_section, self.checks, self.quick, self.overview_section, self.section)
        for widget in shown:
            inner.addWidget(widget)
        inner.addStretch(1)
        layout = QVBoxLayout(self)
        layout.addLayout(buttons)
        layout.addWidget(self.path)
        layout.addWidget(self.refused)
        self._area = scrolled(page)
        layout.addWidget(self._area, 1)
        self._reveal = QTimer(self)
        self._reveal.setSingleShot(True)
        self._reveal.timeout.connect(self._show_unfolded)
        self._unfolded: Any = None
        for section in (self.section, self.overview_section, self.extraction_section):
            section.toggled.connect(self._unfold)

    def _unfold(self, is_open: bool) -> None:
        """What was unfolded below the edge comes into sight, once it has its place."""
        if is_open:
            self._unfolded = self.sender()
            self._reveal.start()

    def _show_unfolded(self) -> None:
        """All of it, or from its beginning where it is higher than what is in sight."""
        one, area = self._unfolded, cast("Any", self._area)
        if one is None:
            return
        top, seen = one.y(), area.viewport().height()
        bottom, bar = top + one.height() + 8, area.verticalScrollBar()
        bar.setValue(min(max(bar.value(), bottom - seen), top))

    def set_theme(self, theme: ChartColors) -> None:
        """Take the colours of the theme."""
        self.quick.set_theme(theme)
        self.look.set_theme(theme)

    def show_extraction(self, path: str | Path) -> None:
        """Ask for the tilt series of a list of particles that has no images."""
        self.extraction_section.set_open(True)
        self.extraction.set_list(path)

    def refresh(self, *_: object) -> None:
        """Show what the session holds: what is open, and beside it what could not be opened."""
        session, asked = self._session, self._session.asked
        path = session.source if asked is None or session.source is not None else asked.path
        for widget in (self.path, self.section):
            widget.setVisible(path is not None)
        self.path.setText(str(path) if path else "")
        self.path.setToolTip(str(path) if path else "")
        self._show_refused(asked)
        self.hint.setVisible(asked is None and not session.summary)
        self.example.setVisible(path is None)
        set_next(self._openers[0], path is None)
        clear_layout(self._table)
        known = bool(session.summary)
        self.summary_section.setVisible(known)
        if known:
            self._table.addWidget(table_of(summary_rows(session.summary)))
        self.checks.setVisible(session.source is not None)
        self.quick.setVisible(known)
        self.overview_section.setVisible(known)

    def _show_refused(self, asked: NotOpened | None) -> None:
        """The corrections are unfolded for it, and folded again with it, once for each."""
        if asked is not None:
            self.title.setText(f"Not opened: {asked.path.name}")
            self.title.setToolTip(str(asked.path))
        if (asked is not None) != self.refused.isVisibleTo(self):
            self.section.set_open(asked is not None)
        self.refused.setVisible(asked is not None)

    def _choose_star(self) -> None:
        if not may_open(self._session):
            return
        name, _ = QFileDialog.getOpenFileName(
            self, "Open particles", self._folder(), "Star files (*.star);;All files (*)"
        )
        if name:
            self.open_requested.emit(name)

    def _choose_run(self) -> None:
        if not may_open(self._session):
            return
        name = QFileDialog.getExistingDirectory(self, "Open the folder of a run", self._folder())
        if name:
            self.open_requested.emit(name)

    def _folder(self) -> str:
        source = self._session.source
        return str(source.parent if source else last_folder())

    def _list_recent(self) -> None:
        menu: Any = self._recent
        menu.clear()
        if not may_open(self._session):
            menu.addAction("Stop the training first").setEnabled(False)
            return
        before = recent()
        for path, name in zip(before, short_names(before), strict=True):
            entry = menu.addAction(name)
            entry.setToolTip(str(path))
            entry.triggered.connect(lambda _checked=False, one=path: self._open(one))
        if menu.isEmpty():
            menu.addAction("Nothing was opened before").setEnabled(False)

    def _open(self, path: Path) -> None:
        self.open_requested.emit(str(path))
