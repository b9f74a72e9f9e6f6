"""Binning as images are read: coarser pixels by a crop in Fourier space, then a smaller box.

An image of ``F`` pixels of ``a`` Å is cropped in Fourier space to an even number of pixels, which
decides the new pixel size; of these the middle is kept. `physics.binning` does it.
"""

from __future__ import annotations

from napari_tomodrgn.errors import BadInputError

# Of images that anything can be learnt of: below, there is no shell in which the checks and the
# linear engine could measure noise.
SMALLEST_BOX_PX = 8
# A pixel size that differs by less is the same: star files round it.
_SAME_PIXEL = 1e-3


def scaled_box_px(box_size_px: int, pixel_size_angstrom: float, target_angstrom: float) -> int:
    """Edge of an image in pixels of about ``target_angstrom``: an even number, field of view kept.

    Raises
    ------
    BadInputError
        If the target is finer than the image, or leaves too few pixels.
    """
    if target_angstrom < pixel_size_angstrom * (1 - _SAME_PIXEL):
        raise BadInputError(
            f"A pixel size of {target_angstrom:g} Å is finer than the images', "
            f"{pixel_size_angstrom:g} Å.",
            remedy="Images can be made coarser as they are read, not finer.",
            code="bad-binning",
        )
    scaled = 2 * round(box_size_px * pixel_size_angstrom / target_angstrom / 2)
    if scaled < SMALLEST_BOX_PX:
        raise BadInputError(
            f"At a pixel size of {target_angstrom:g} Å images of {box_size_px} px and "
            f"{pixel_size_angstrom:g} Å have only {scaled} px.",
            remedy=f"Choose a finer one, so that at least {SMALLEST_BOX_PX} px are left.",
            code="bad-binning",
        )
    return min(scaled, box_size_px)


def binned_sampling(
    box_size_px: int,
    pixel_size_angstrom: float,
    pixel_size_target_angstrom: float | None,
    box_target_px: int | None,
) -> tuple[int, float]:
    """Box in pixels and pixel size in Å of binned images.

    Parameters
    ----------
    box_size_px, pixel_size_angstrom
        Of the images in their files.
    pixel_size_target_angstrom
        What the pixel size is to be, or nearly: the box has to be even. None: as it is.
    box_target_px
        Edge of the middle that is kept, in the new pixels. None: all.

    Raises
    ------
    BadInputError
        If the images are too coarse or too small for that.
    """
    box, pixel = box_size_px, pixel_size_angstrom
    if pixel_size_target_angstrom is not None:
        scaled = scaled_box_px(box, pixel, pixel_size_target_angstrom)
        box, pixel = scaled, pixel if scaled == box else pixel * box / scaled
    if box_target_px is not None:
        if box_target_px > box:
            raise BadInputError(
                f"A box of {box_target_px} px is larger than the images, which have {box} px "
                f"of {pixel:.4g} Å.",
                remedy="Choose a smaller box.",
                code="bad-binning",
            )
        box = box_target_px
    return box, pixel
