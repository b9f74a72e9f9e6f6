"""Are the image files there, whole, of one box, and each image used once? Reads headers only."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Generator, Iterator

import numpy as np

from napari_tomodrgn.data.binning import SMALLEST_BOX_PX
from napari_tomodrgn.data.checks.check import CheckResult, CheckSpec
from napari_tomodrgn.data.particles import COPY_OF, ParticleSet
from napari_tomodrgn.data.stack import StackHeader, read_header, too_short, wrong_box
from napari_tomodrgn.errors import BadInputError

# Headers read between two looks at whether to stop: a fraction of a second on a slow shared disk.
_STACKS_AT_A_TIME = 64


def check_stacks(particles: ParticleSet) -> None:
    """Raise what must stop any work on the images; reads headers only.

    Raises
    ------
    BadInputError
        If a stack is missing, unreadable, cut off, shorter than the star file says or of another
        box, or the box is odd.
    """
    for _ in stack_steps(particles):
        pass


def stack_steps(particles: ParticleSet) -> Generator[int, None, None]:
    """The same in steps, yielding how many stacks are done."""
    for wrong_box_size in _box_errors(particles):
        raise wrong_box_size
    for done, (_, error) in enumerate(_headers(particles), start=1):
        if error is not None:
            raise error
        if done % _STACKS_AT_A_TIME == 0:
            yield done


def _headers(
    particles: ParticleSet,
) -> Iterator[tuple[StackHeader | None, BadInputError | None]]:
    """Header of each stack that is in use, and what is wrong with it."""
    images = particles.images
    codes = images["stack"].cat.codes.to_numpy(np.int64)
    files = images["stack"].cat.categories.to_list()
    needed = np.zeros(len(files), np.int64)
    np.maximum.at(needed, codes, images["stack_index"].to_numpy(np.int64) + 1)
    for file, count in zip(files, needed.tolist(), strict=True):
        if count:
            try:
                header = read_header(file)
            except BadInputError as error:
                yield None, error
            else:
                yield header, _mismatch(header, particles.optics.file_box_size_px, count)


def _mismatch(header: StackHeader, box_size_px: int, needed: int) -> BadInputError | None:
    if header.box_size_px != box_size_px:
        return wrong_box(header, box_size_px)
    return too_short(header.path, header.count, needed) if header.count < needed else None


def _files(particles: ParticleSet) -> Iterator[CheckResult]:
    errors: dict[str, list[BadInputError]] = defaultdict(list)
    other_pixel: list[StackHeader] = []
    star = particles.optics.file_pixel_size_angstrom
    for header, error in _headers(particles):
        if error is not None:
            errors[error.code].append(error)
        # 0 and 1 stand where a program did not care.
        elif header and header.pixel_size_angstrom not in (0.0, 1.0):
            if not math.isclose(header.pixel_size_angstrom, star, rel_tol=0.01):
                other_pixel.append(header)
    for found in errors.values():
        more = f" ({len(found)} such files)" if len(found) > 1 else ""
        yield CheckResult.of_error(found[0], len(found), more)
    if other_pixel:
        first = other_pixel[0]
        yield CheckResult(
            "warning",
            "pixel-size-header",
            f"The header of {first.path.name} gives {first.pixel_size_angstrom:.3f} Å/px, the star "
            f"file {star:.3f} Å/px ({len(other_pixel)} files).",
            "The star file is used; if it is wrong, override it with --pixel-size.",
            first.pixel_size_angstrom,
        )


def _box(particles: ParticleSet) -> Iterator[CheckResult]:
    for error in _box_errors(particles):
        yield CheckResult.of_error(error, particles.optics.file_box_size_px)


def _box_errors(particles: ParticleSet) -> Iterator[BadInputError]:
    optics = particles.optics
    if optics.file_box_size_px % 2:
        yield BadInputError(
            f"{particles.source.path}: the box is {optics.file_box_size_px} px; "
            "it has to be an even number.",
            remedy="Extract the images with an even box.",
            code="odd-box",
        )
    elif optics.box_size_px < SMALLEST_BOX_PX:
        yield BadInputError(
            f"{particles.source.path}: the box is {optics.box_size_px} px; nothing can be learnt "
            f"of fewer than {SMALLEST_BOX_PX} px.",
            remedy="Extract the images with smaller pixels, or with a larger box.",
            code="small-box",
        )


def _repeats(particles: ParticleSet) -> Iterator[CheckResult]:
    import pandas as pd

    images = particles.images
    stack = images["stack"].cat.codes.to_numpy(np.int64)
    index = images["stack_index"].to_numpy(np.int64)
    image = pd.Index(stack * (int(index.max()) + 1) + index)
    repeated = int(image.duplicated().sum())
    if repeated and COPY_OF in particles.particles:
        # Copies in a symmetry-expanded set share their images.
        owner = particles.originals[images["particle_id"].cat.codes.to_numpy()]
        shared = pd.MultiIndex.from_arrays([owner, image]).duplicated().sum()
        repeated -= int(shared)
    if repeated:
        yield CheckResult(
            "warning",
            "duplicate-images",
            f"{repeated} rows refer to an image that another row refers to as well.",
            "Each image should belong to one particle.",
            repeated,
        )


def _files_in_use(particles: ParticleSet) -> float:
    return float(particles.images["stack"].nunique())


STACK_QUESTIONS = (
    CheckSpec(
        _files,
        "files",
        "All image files are there, whole and of the right box.",
        _files_in_use,
        "A missing or cut file stops a run, or gives particles the images of others.",
    ),
    CheckSpec(
        _box,
        "box",
        "The box is even.",
        lambda particles: float(particles.optics.file_box_size_px),
        "The centre of an odd box lies elsewhere.",
    ),
    CheckSpec(
        _repeats,
        "images",
        "Every image belongs to one particle.",
        lambda particles: float(len(particles.images)),
        "An image used twice makes halves of the data agree that are not independent.",
    ),
)
