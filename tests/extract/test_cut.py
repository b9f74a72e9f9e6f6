"""Boxes are centred to a thousandth of a pixel and keep their flux."""

import numpy as np
import pytest

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.cut import cut_boxes, mean_and_sd, plan_crops, whole_boxes


def blob(centre: tuple[float, float], sigma: float, size: int = 220) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    squared = (x - centre[0]) ** 2 + (y - centre[1]) ** 2
    return np.exp(-squared / (2 * sigma**2)).astype(np.float32)


@pytest.mark.parametrize("binning", [1, 2])
@pytest.mark.parametrize("centre", [(100.0, 110.0), (99.73, 111.5), (104.49, 108.02)])
def test_a_blob_comes_to_the_middle_with_its_flux(
    binning: int, centre: tuple[float, float]
) -> None:
    plan = plan_crops(3.0, 48, 3.0 * binning)
    assert plan.pixel_size_angstrom == pytest.approx(3.0 * binning, rel=1e-12)
    image = blob(centre, 5.0)
    box = cut_boxes(image, np.array([centre]), plan)[0].astype(np.float64)
    y, x = np.mgrid[:48, :48]
    flux = box.sum()
    assert abs((box * x).sum() / flux - 24) < 1e-3
    assert abs((box * y).sum() / flux - 24) < 1e-3
    assert flux * binning**2 == pytest.approx(image.sum(dtype=np.float64), rel=1e-3)


def test_coarse_pixels_are_achieved_and_said() -> None:
    plan = plan_crops(1.35, 64, 6.0)
    assert plan.pixel_size_angstrom == pytest.approx(6.0, rel=1e-4)
    odd = plan_crops(1.37, 64, 6.1)
    assert odd.pixel_size_angstrom == pytest.approx(1.37 * odd.raw_px / odd.padded_px)
    assert odd.pixel_size_angstrom == pytest.approx(6.1, rel=5e-3)


@pytest.mark.parametrize(("box", "target", "said"), [(63, None, "even"), (64, 1.0, "finer")])
def test_boxes_that_cannot_be_cut(box: int, target: float | None, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        plan_crops(2.0, box, target)


def test_only_boxes_inside_the_image_are_cut() -> None:
    plan = plan_crops(2.0, 24)
    edge = plan.raw_px / 2
    centres = np.array([[edge, 50], [edge - 1, 50], [100 - edge, 50], [101 - edge, 50]])
    assert whole_boxes(centres, (100, 100), plan).tolist() == [True, False, True, False]


def test_mean_and_deviation() -> None:
    image = np.random.default_rng(0).normal(1000, 3, size=(150, 90)).astype(np.float32)
    mean, sd = mean_and_sd(image)
    assert (mean, sd) == pytest.approx((image.mean(dtype=float), image.std(dtype=float)), rel=1e-7)
