"""One true alignment in the form of every program, read back."""

from pathlib import Path

import numpy as np
import pytest

from napari_tomodrgn.data.mrc import MrcHeader
from napari_tomodrgn.extract.alignments import AlignmentInput, find_alignment, read_alignment
from napari_tomodrgn.extract.geometry import (
    TiltGeometry,
    VoxelFrame,
    centre_index,
    tilt_angles,
    tilt_rotations,
)
from napari_tomodrgn.extract.tilt_stack import TiltStack
from napari_tomodrgn.synthetic.tilt_series.alignments import FORMS
from napari_tomodrgn.synthetic.tilt_series.truth import TrueSeries

PIXEL = 2.5
SIZES = [
    ((512, 480), (500, 470, 200)),
    ((511, 481), (501, 471, 201)),
    ((512, 481), (501, 470, 199)),
]


def true_series(image: tuple[int, int], volume: tuple[int, int, int]) -> TrueSeries:
    """Eleven tilts whose axis turns by a few degrees and whose shifts are large."""
    rng = np.random.default_rng(3)
    tilt = np.round(np.linspace(-57, 60, 11) + rng.normal(scale=0.3, size=11), 2)
    axis = np.round(84 + rng.normal(scale=2, size=11), 4)
    middle = centre_index(image, "(n-1)/2") + rng.normal(scale=12, size=(11, 2))
    turned = tilt_rotations(axis, tilt, 0.0) @ (np.array(volume) / 2)
    return TrueSeries(
        name="TS_001",
        axis_deg=axis,
        tilt_deg=tilt,
        corner_px=middle - turned[:, :2],
        image_size_px=image,
        volume_size_px=volume,
        pixel_size_angstrom=PIXEL,
        order=rng.permutation(11),
        dose_per_tilt=3.0,
        defocus_u_angstrom=np.full(11, 31000.0),
        defocus_v_angstrom=np.full(11, 29000.0),
        defocus_angle_deg=np.full(11, 20.0),
    )


def read(folder: Path, series: TrueSeries) -> TiltGeometry:
    nx, ny = series.image_size_px
    header = MrcHeader(
        Path("TS_001.mrc"), (11, ny, nx), (PIXEL,) * 3, True, np.dtype(np.float32), 1024
    )
    found = find_alignment(folder, ["TS_001"])
    return read_alignment(found, AlignmentInput(found.path, found.name, TiltStack(header, PIXEL)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("image", "volume"), SIZES)
def test_every_form_of_one_truth_places_points_alike(
    form: str, image: tuple[int, int], volume: tuple[int, int, int], tmp_path: Path
) -> None:
    series = true_series(image, volume)
    FORMS[form](tmp_path, series)
    geometry = read(tmp_path, series)
    voxels = np.random.default_rng(0).uniform(0, volume, size=(40, 3))
    frame = VoxelFrame(volume, PIXEL, geometry.rule)
    found = geometry.project(frame.from_voxels(voxels, 0))
    assert np.abs(found.xy_px - series.place(voxels)).max() < 0.002
    # The depth of the middle is not the same for all: half a pixel of it is nothing to a defocus.
    depth = np.einsum("tj,nj->tn", series.rotations[:, 2], voxels - np.array(volume) / 2) * PIXEL
    assert np.abs(found.depth_angstrom - depth).max() < PIXEL
    assert np.abs(tilt_angles(geometry.views)[:, 1] - series.tilt_deg).max() < 1e-4


def test_binned_voxels_lie_where_their_program_puts_them() -> None:
    """Mean binning: i = b i_b + (b − 1) / 2; Fourier cropping: N // 2 ↔ n_b // 2."""
    whole = VoxelFrame((500, 470, 200), 2.0, "(n-1)/2")
    binned = VoxelFrame((125, 117.5, 50), 8.0, "(n-1)/2")
    index = np.array([10.0, 20.0, 30.0])
    assert np.allclose(binned.from_voxels(index, 0), whole.from_voxels(4 * index + 1.5, 0))
    cropped, full = (VoxelFrame((n, n, n), 8.0 * 124 / n, "n//2") for n in (124, 496))
    assert np.allclose(
        cropped.from_voxels(index, 1), full.from_voxels((index - 1 - 62) * 4 + 248, 0)
    )
