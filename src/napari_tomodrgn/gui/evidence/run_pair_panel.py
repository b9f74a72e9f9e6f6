"""Asks for another run of the same particles, and says how far both agree."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_tomodrgn.gui.evidence.run_pair_service import PairedRun, RunPairService
from napari_tomodrgn.gui.widgets.collapsible import CollapsibleSection
from napari_tomodrgn.gui.widgets.qt import make_button, make_label
from napari_tomodrgn.session import Session

_TITLE = "Another run of these particles"
_TIP = (
    "Choose the folder of a run on the same particles: another seed, method or length. Its latents "
    "are turned over those on show, and each particle is coloured by how far it moves"
)
_WHAT = (
    "Does another run, of another seed or method, find the same? The number of a particle is how "
    "far it is from its place in this run, as a share of the particles' spread."
)


class RunPairPanel(CollapsibleSection):
    """Folded until someone asks."""

    def __init__(self, session: Session, service: RunPairService) -> None:
        self._session, self._service = session, service
        self.choose = make_button("Compare with a run …", _TIP, self._choose)
        self.sentence = make_label(_WHAT)
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.sentence)
        layout.addWidget(self.choose)
        super().__init__(_TITLE, page, _TIP)
        service.paired.connect(self._on_paired)
        for name in ("latents", "run"):
            getattr(session.events, name).connect(self._refresh)
        self._refresh()

    def _refresh(self, *_: Any) -> None:
        self.choose.setEnabled(self._session.latents is not None)

    def _choose(self) -> None:
        run = self._session.run
        beside = str(run.path.parent) if run is not None else ""
        folder = QFileDialog.getExistingDirectory(self, "Choose another run", beside)
        if folder:
            self._service.compare(folder)

    def _on_paired(self, found: PairedRun | None) -> None:
        self.sentence.setText(_WHAT if found is None else f"{found.name}: {found.sentence}")
