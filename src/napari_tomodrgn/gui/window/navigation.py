"""Shows one part of the window by its name, for shortcuts and menu entries."""

from __future__ import annotations

from typing import Any

# What was a tab of its own is a part of a step.
_STEPS = {"Tomogram": "Explore", "Latent space": "Explore", "Selections": "Validate"}


def show_tab(widget: Any, part: str) -> None:
    """Bring a part of a `MainWidget` to the front: the latent space, or a step."""
    dock = widget.latent.parentWidget()
    if part == "Latent space":
        if dock is None:
            widget.reopen.click()
        else:
            dock.show()
            dock.raise_()
    tabs = widget.tabs
    part = _STEPS.get(part, part)
    titles = [tabs.tabText(row) for row in range(tabs.count())]
    tabs.setCurrentIndex(next(row for row, title in enumerate(titles) if title.startswith(part)))
