"""How many points are where: the honest picture of sets so large that discs hide each other."""

from __future__ import annotations

import numpy as np

from napari_tomodrgn.gui.charts.colormaps import gradient
from napari_tomodrgn.gui.charts.point_cloud import ByteArray, PointCloud, View, radius_px

# Edge of a cell in logical pixels, in large sets; in small ones it is that of a point.
_CELL_PX = 2.0
# Opacity of a cell with one point; the fullest is opaque.
_FAINTEST = 0.35


class DensityPoints:
    """Counts points in cells of a few pixels.

    Points of one colour are drawn as a gradient of the logarithm of their number, others in the
    mean colour of the cell, the fainter the fewer there are.
    """

    def __init__(self) -> None:
        self.set_points(PointCloud.of(np.zeros((0, 2))), np.zeros((0, 3), np.uint8))

    def set_points(self, cloud: PointCloud, colors: ByteArray) -> None:
        """Take positions and colours."""
        self._cloud = cloud
        alike = len(colors) == 0 or bool((colors == colors[0]).all())
        # As bytes: numbers of a million colours take longer to make than to sum.
        self._colors = None if alike else np.ascontiguousarray(colors[:, :3].T)

    def render(self, view: View, size: tuple[int, int], pixel_ratio: float) -> ByteArray:
        """Give the RGBA image."""
        wide = max(_CELL_PX, 1.5 * radius_px(len(self._cloud)))
        cell = max(1, round(wide * pixel_ratio))
        columns, rows = -(-size[0] // cell), -(-size[1] // cell)
        a, b, c, d = (part / cell for part in self._cloud.transform(view, *size))
        page = (columns + 2, rows + 2)
        cells = self._cloud.cells((a, b + 1, c, d + 1), page)
        counts = self._sums(cells, page)
        share = np.log1p(counts) / max(float(np.log1p(counts.max(initial=0.0))), 1e-9)
        if self._colors is None:
            table = gradient()
            rgb = table[np.round(share * (len(table) - 1)).astype(np.intp)].astype(np.float32)
            alpha = (counts > 0).astype(np.float32)
        else:
            total = np.maximum(counts, 1)
            sums = [self._sums(cells, page, weights) / total for weights in self._colors]
            rgb = np.stack(sums, axis=-1).astype(np.float32)
            alpha = np.where(counts > 0, _FAINTEST + (1 - _FAINTEST) * share, 0.0)
        small = np.empty((rows, columns, 4), np.uint8)
        small[..., :3] = rgb * alpha[..., None]
        small[..., 3] = 255 * alpha
        large = small.view(np.uint32)[..., 0].repeat(cell, axis=0).repeat(cell, axis=1)
        cut = np.ascontiguousarray(large[: size[1], : size[0]])
        return cut.view(np.uint8).reshape(size[1], size[0], 4)

    def close(self) -> None:
        """Nothing is held."""

    @staticmethod
    def _sums(
        cells: np.ndarray, page: tuple[int, int], weights: np.ndarray | None = None
    ) -> np.ndarray:
        """Sums (row, column) over the cells, without the ring that holds what is out of view."""
        sums = np.bincount(cells, weights, minlength=page[0] * page[1])
        return sums.reshape(page[1], page[0])[1:-1, 1:-1]
