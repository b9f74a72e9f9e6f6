"""Writes beneath each of several maps whose it is, in a layer of words alone."""

from __future__ import annotations

import re
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from napari.components.overlays import TextOverlay
from napari.utils.theme import get_theme

from napari_tomodrgn.gui.volumes.arrangement import beside_bar_px, is_held
from napari_tomodrgn.gui.widgets.viewer_layers import remove_layers
from napari_tomodrgn.learn.run.epoch_files import FIRST_LOOK, epoch_name

if TYPE_CHECKING:
    from napari.components.camera import Camera
    from napari.layers import Points
    from napari.viewer import Viewer
    from numpy.typing import NDArray

LABELS_NAME = "map labels"
# Of the words in the corner of the canvas, where a tomogram is on show.
TITLE_NAME = "tomodrgn_tomogram"
# In the metadata of a layer of labels.
IS_LABELS = "napari-tomodrgn labels"
_FONT_PX, _SMALLEST_PX = 9, 6.0
# Letters of a line where neighbours leave too few: words then begin below each other.
_STACKED_LETTERS = 32
# How far below the middle of its map a label begins, in boxes.
_BELOW, _BELOW_IN_ROWS = 0.4, 0.36
_LINES_PX = 45.0  # words that are so much apart in height do not meet
_SPACING = 1.95  # pixels from line to line for one point of the letters
_LINE_PX, _CORNER_PX = 23.0, 10.0  # of a line in the corner, and above the first
_EPOCHS, _FILTERS = ("epoch", "iteration", epoch_name(FIRST_LOOK)), ("shell filter", "low-pass")
# Blanks in coordinates, before units, and between a number and what it counts or tells apart.
_KEPT = (
    r"(?<=\d,) (?=-?\d+(?:, |\)))| (?=[Åσ])|(?<=\d) (?=particles|standard)"
    r"|(?<=epoch|.half) (?=\d)|(?<=cluster|contour) (?=\d)"
)
_SLICES = "slice of the map, whose surface is seen in 3-D"
_BETWEEN, _LETTER_PX = "  ·  ", 9.5  # of the canvas' font
_FEWEST, _FEWEST_BESIDE = 30, 20  # of a line in the corner; and beside the scale bar


class MapLabels:
    """A layer of points that nobody sees, with words at them; there while there are words."""

    def __init__(self, viewer: Viewer, name: str = LABELS_NAME) -> None:
        self._viewer, self._name = viewer, name
        self._layer: Points | None = None
        self._words: tuple[str, ...] = ()
        self._places: tuple[float, ...] = ()  # of the maps
        self._below = 0.0
        self._written: list[str] = []  # as they are broken now
        viewer.scene.camera.events.zoom.connect(self._on_camera)
        viewer.scene.camera.events.angles.connect(self._on_turned)
        viewer.dims.events.ndisplay.connect(self._on_turned)

    @property
    def layer(self) -> Points | None:
        """The layer on show, or None (none is needed, or the user removed it)."""
        if self._layer is not None and self._layer not in self._viewer.layers:
            self._layer, self._words, self._places = None, (), ()
        return self._layer

    def show(
        self, words: list[str], places_zyx: NDArray[np.float64], below_angstrom: float = 0.0
    ) -> None:
        """Write these words so far below these places (word, zyx) in Å; none removes the layer.

        Below is where it is on the screen: words stay beneath their maps however these are turned.
        """
        places = tuple(places_zyx.ravel().tolist())
        layer = self.layer
        if (tuple(words), places, below_angstrom) == (self._words, self._places, self._below):
            return
        moved = (places, below_angstrom) != (self._places, self._below)
        self._words, self._places, self._below = tuple(words), places, below_angstrom
        if not words:
            remove_layers(self._viewer, [layer])
            self._layer = None
        elif layer is None:
            self._written = self._fitted()[1]
            self._layer = self._added(self._written, self._beneath())
            self._fit()
        else:
            # Places and words each lay all words out anew: at a click only words change.
            if moved:
                self._move(layer)
            self._fit()

    def _move(self, layer: Points) -> None:
        # A layer that is not on show goes on looking for as many words as it had.
        missing = max(0, len(layer.data) - len(self._words))
        layer.data = np.pad(self._beneath(), ((0, missing), (0, 0)), "edge")
        self._written = []

    def _beneath(self) -> NDArray[np.float64]:
        """Where words begin, ``(word, zyx)`` in Å."""
        # A slice has words in its plane, or it would show none.
        flat = self._viewer.dims.ndisplay == 2
        up = np.array([0.0, 1.0, 0.0]) if flat else right_and_up(self._viewer.scene.camera)[1]
        return np.asarray(np.reshape(self._places, (-1, 3)) - self._below * up)

    def _added(self, words: list[str], places_zyx: NDArray[np.float64]) -> Points:
        chosen = set(self._viewer.layers.selection)
        layer = self._viewer.add_points(
            places_zyx,
            name=self._name,
            metadata={IS_LABELS: True},
            size=0,
            face_color="transparent",  # of no size they would be a pixel
            border_color="transparent",
            features={"words": words},
            text={
                "string": "{words}",
                "size": _FONT_PX,
                "color": self._color(),
                "anchor": "center",
            },
            units=("angstrom",) * 3,
        )
        self._viewer.layers.selection = chosen
        return layer

    def _on_turned(self, event: object = None) -> None:
        layer = self.layer
        if layer is not None and self._below and not is_held():
            self._move(layer)
        self._on_camera(event)

    def _on_camera(self, _event: object = None) -> None:
        if not is_held():  # else a picture has its words in other lines than the screen
            self._fit()

    def _fit(self) -> None:
        """Write the words as large, and in such lines, as their neighbours leave room for."""
        if (layer := self.layer) is None:
            return
        size, words = self._fitted()
        if words != self._written:
            self._written = words
            layer.features = {"words": words + [""] * (len(layer.data) - len(words))}
        if layer.text.size != size:
            layer.text.size = size

    def _fitted(self) -> tuple[float, list[str]]:
        """Smaller letters where words would run into those of a neighbour; then more lines.

        Nothing is cut off: where maps are too near to each other, the words of one begin below
        those of the other.
        """
        lines = [line for words in self._words for line in words.splitlines()]
        letters = max((len(line) for line in lines), default=0)
        x, y = self._on_screen()
        per_letter = self._room_px(x, y) / _LETTER_PX * _FONT_PX  # of one point
        size = min(_FONT_PX, max(_SMALLEST_PX, per_letter / (letters + 2)))
        size = int(2 * size) / 2
        room = int(min(per_letter / size, 1e6)) - 2
        longest = max((len(one) for words in self._words for one in pieces(words)), default=0)
        room = room if room >= longest else max(_STACKED_LETTERS, longest)
        broken = [in_cell(words, room) for words in self._words]
        lower = lines_lower(broken, x / (_LETTER_PX * size / _FONT_PX), -y / (_SPACING * size))
        # The layer writes around its places: with as many empty lines above, words begin there.
        return size, [
            words and "\n" * (len(words.splitlines()) + 2 * down) + words
            for words, down in zip(broken, lower, strict=True)
        ]

    def _on_screen(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where maps are, to the right and upward, in pixels from where the world begins."""
        camera = self._viewer.scene.camera
        places = np.reshape(self._places, (-1, 3)) * camera.zoom
        right, up = right_and_up(camera)
        return places @ right, places @ up

    def _room_px(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        """Pixels between the middles of words that are beside each other; at most the canvas."""
        apart, higher = (np.abs(np.subtract.outer(at, at)) for at in (x, y))
        beside = (higher < _LINES_PX) & ~np.eye(len(x), dtype=bool)
        return float(apart[beside].min(initial=self._viewer.canvas.size[1]))

    def refresh_theme(self) -> None:
        """Write in the colour of the theme's text: white words on a light canvas are none."""
        if (layer := self.layer) is not None:
            layer.text.color = self._color()

    def _color(self) -> str:
        return str(get_theme(self._viewer.theme).text.as_hex(format="long"))


def right_and_up(camera: Camera) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Right and up of the canvas as unit vectors zyx of the world."""
    up = np.asarray(camera.up_direction, float)
    # Of a right-handed camera (`layers.ORIENTATION`) in axes zyx, which are left-handed.
    right = np.cross(up, np.asarray(camera.view_direction, float))
    return right / np.linalg.norm(right), up / np.linalg.norm(up)


def write_in_corner(viewer: Viewer, name: str, words: str, beside_px: float = 20.0) -> None:
    """Write words into the upper left corner, in lines that leave so much beside; none hides them.

    ``name`` tells who writes: what each has to say stays apart. The scale bar is left its room.
    """
    overlays, bar_px = viewer.canvas.overlays, beside_bar_px(viewer)
    if name not in overlays:
        size = overlays.scale_bar.font_size
        overlays[name] = TextOverlay(position="top_left", font_size=size)
    overlays[name].text = in_lines(
        words, viewer.canvas.size[1] - beside_px - bar_px, _FEWEST_BESIDE if bar_px else _FEWEST
    )
    overlays[name].visible = bool(words)


def bottom_of_corner(viewer: Viewer, name: str) -> float:
    """Pixels below the canvas' upper edge at which words in the corner end; 0 if there are none."""
    overlays = viewer.canvas.overlays
    lines = len(overlays[name].text.splitlines()) if name in overlays else 0
    return bottom_of_lines(lines) if lines and overlays[name].visible else 0.0


def bottom_of_lines(count: int) -> float:
    """`bottom_of_corner` of words of so many lines, before they are there."""
    return _CORNER_PX + count * _LINE_PX


def label_of(caption: str) -> str:
    """Whose map a caption tells of, from what it is, how it is filtered, at which contour.

    The rest of a caption is left out: a label has the room of its map.
    """
    if not caption:
        return ""
    name, *facts = caption.splitlines()[0].split(_BETWEEN)
    made = [f"decoded, {one}" if one.startswith(_EPOCHS) else one for one in facts]
    look = [one for one in made[1:-1] if one.startswith(_FILTERS)]
    return "\n".join([name, ", ".join([*made[:1], *look, *made[1:][-1:]])])


def of_slices(caption: str) -> str:
    """A caption where the map itself is on show: nothing is contoured, no difference is drawn."""
    parts = caption.partition("\n")[0].split(_BETWEEN)
    return _BETWEEN.join([*(one for one in parts if not one.startswith("contour ")), _SLICES])


def how_far_below(middles_zyx: NDArray[np.float64], box_angstrom: float) -> float:
    """Å from the middle of a map, of these ``(map, zyx)``, down to where its label begins."""
    # In several rows there is less room below: the next map follows.
    in_row = len(middles_zyx) > 1 and len(set(middles_zyx[:, 1])) == 1
    return box_angstrom * (_BELOW if in_row else _BELOW_IN_ROWS)


def lines_lower(
    words: list[str], right: NDArray[np.float64], down: NDArray[np.float64]
) -> list[int]:
    """By how many lines each of some words is moved down so that none is written over another.

    ``right`` and ``down`` are where their middles begin, ``(word,)`` in letters and in lines.
    """
    lower: list[int] = []
    wide = [max(map(len, one.splitlines()), default=0) + 1 for one in words]
    high = [len(one.splitlines()) for one in words]
    for new in range(len(words)):
        near = [
            (down[old] + lower[old], high[old])
            for old in range(new)
            if high[old] and 2 * abs(right[new] - right[old]) < wide[new] + wide[old]
        ]
        step = 0
        while any(-high[new] < down[new] + step - top < lines for top, lines in near):
            step += 1
        lower.append(step)
    return lower


def unbroken(words: str) -> str:
    """Words whose numbers keep what they count, and whose coordinates stay together."""
    return re.sub(_KEPT, "\u00a0", words)


def pieces(words: str) -> list[str]:
    """What a line of words is not broken within."""
    return re.split("[ \n]", unbroken(words))


def in_cell(words: str, letters: int) -> str:
    """Break the lines of a label that are longer than its cell is wide, and lose nothing."""
    lines = [fill(unbroken(line), letters) for line in words.splitlines()]
    return "\n".join(lines).replace("\u00a0", " ")


def in_lines(words: str, room_px: float, fewest: int = _FEWEST) -> str:
    """Break a caption where it would leave the canvas: between its parts, else between words."""
    letters = max(fewest, int(room_px / _LETTER_PX))
    return "\n".join(_broken(line, letters) for line in words.splitlines())


def _broken(words: str, letters: int) -> str:
    lines = [""]
    for part in words.split(_BETWEEN):
        longer = f"{lines[-1]}{_BETWEEN}{part}" if lines[-1] else part
        if len(longer) <= letters:
            lines[-1] = longer
        else:
            lines += fill(unbroken(part), letters).replace("\u00a0", " ").splitlines()
    return "\n".join(line for line in lines if line)
