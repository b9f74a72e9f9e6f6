"""Are the image files there, whole, of one box, and each image used once? Reads headers only."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Generator, Iterator

import numpy as np

from napari_tomodrgn.data.checks.check import CheckResult, CheckSpec
from napari_tomodrgn.data.optics import SMALLEST_BOX_PX, Sampling
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
    for done, (*_, error) in enumerate(_headers(particles), start=1):
        if error is not None:
            raise error
        if done % _STACKS_AT_A_TIME == 0:
            yield done


def _headers(
    particles: ParticleSet,
) -> Iterator[tuple[StackHeader | None, Sampling, BadInputError | None]]:
    """Header of each stack that is in use, what its images should be, and what is wrong with it."""
    images, stored = particles.images, particles.optics.stored
    codes = images["stack"].cat.codes.to_numpy(np.int64)
    files = images["stack"].cat.categories.to_list()
    needed = np.zeros(len(files), np.int64)
    np.maximum.at(needed, codes, images["stack_index"].to_numpy(np.int64) + 1)
    # Images of several groups in one file: it has one box, so that some group's differs from it.
    groups = np.unique(codes * len(stored) + images["optics_group"].to_numpy(np.int64))
    for file, group in zip(*(part.tolist() for part in divmod(groups, len(stored))), strict=True):
        try:
            header = read_header(files[file])
        except BadInputError as error:
            yield None, stored[group], error
        else:
            wrong = _mismatch(header, stored[group].box_size_px, int(needed[file]))
            yield header, stored[group], wrong


def _mismatch(header: StackHeader, box_size_px: int, needed: int) -> BadInputError | None:
    if header.box_size_px != box_size_px:
        return wrong_box(header, box_size_px)
    return too_short(header.path, header.count, needed) if header.count < needed else None


def _files(particles: ParticleSet) -> Iterator[CheckResult]:
    errors: dict[str, list[BadInputError]] = defaultdict(list)
    other_pixel: list[tuple[StackHeader, float]] = []
    for header, stored, error in _headers(particles):
        if error is not None:
            errors[error.code].append(error)
        # 0 and 1 stand where a program did not care.
        elif header and header.pixel_size_angstrom not in (0.0, 1.0):
            star = stored.pixel_size_angstrom
            if not math.isclose(header.pixel_size_angstrom, star, rel_tol=0.01):
                other_pixel.append((header, star))
    for found in errors.values():
        more = f" ({len(found)} such files)" if len(found) > 1 else ""
        yield CheckResult.of_error(found[0], len(found), more)
    if other_pixel:
        first, star = other_pixel[0]
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
        yield CheckResult.of_error(error, _stored_box(particles))


def _stored_box(particles: ParticleSet) -> float:
    """Box of the image files; of several the odd one, else the smallest."""
    return float(min((one.box_size_px for one in particles.optics.stored), key=_odd_first))


def _odd_first(box_size_px: int) -> tuple[bool, int]:
    return box_size_px % 2 == 0, box_size_px


def _box_errors(particles: ParticleSet) -> Iterator[BadInputError]:
    stored = int(_stored_box(particles))
    smallest = min(one.box_size_px for one in particles.optics.samplings)
    if stored % 2:
        yield BadInputError(
            f"{particles.source.path}: the box is {stored} px; it has to be an even number.",
            remedy="Extract the images with an even box.",
            code="odd-box",
        )
    elif smallest < SMALLEST_BOX_PX:
        yield BadInputError(
            f"{particles.source.path}: the box is {smallest} px; nothing can be learnt "
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
        _stored_box,
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
