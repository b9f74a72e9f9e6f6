"""Which OpenGL draws the canvas: ``python -m napari_tomodrgn.gui.window.graphics`` prints it."""

from __future__ import annotations

import sys


def renderer() -> str:
    """Name and version of the OpenGL that a window of vispy gets here."""
    from qtpy.QtWidgets import QApplication
    from vispy import app, gloo

    application = QApplication.instance() or QApplication([])
    canvas = app.Canvas(size=(8, 8), show=True)
    try:
        application.processEvents()
        canvas.set_current()
        names = (gloo.gl.GL_RENDERER, gloo.gl.GL_VERSION)
        return ", OpenGL ".join(str(gloo.gl.glGetParameter(name)) for name in names)
    finally:
        canvas.close()


if __name__ == "__main__":
    sys.stdout.write(renderer() + "\n")
