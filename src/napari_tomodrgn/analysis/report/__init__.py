"""One self-contained page about a run, for collaborators: `write_report`."""

from napari_tomodrgn.analysis.report.page import write_report

__all__ = ["write_report"]
