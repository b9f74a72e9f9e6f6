"""Running out of memory: less at a time, and a sentence instead of a traceback."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from napari_tomodrgn.errors import BadInputError

# Points decoded at a time: bounds memory, and how long a stop waits; on a CPU so few that what the
# layers leave for the gradient stays in its cache.
_POINTS = {"cpu": 1 << 12, "cuda": 1 << 20, "mps": 1 << 18}
_MIN_POINTS = 1 << 11  # they are not halved below this
# Image samples taken together. On a CPU: tensors beyond 32 MB go back to the system after each use,
# and filling new pages took as long again as what was computed in them. On a GPU: so many that
# launching what is done to them is not what takes the time, at some 60 bytes each.
_SAMPLES_IN_BLOCK = {"cpu": 1 << 21, "cuda": 1 << 25, "mps": 1 << 23}
_BYTES_OF_GPU_PER_SAMPLE = 256  # of all its memory, for each sample that is taken together
T = TypeVar("T")


@dataclass
class ChunkSizes:
    """How many points are decoded, and how many particles of a step computed, at a time.

    Neither changes what a step computes, but for rounding: pieces are added up.

    Attributes
    ----------
    points, particles
        At a time.
    said
        What is to be told of it, in sentences.
    """

    points: int
    particles: int
    messages: list[str] = field(default_factory=list)

    @classmethod
    def on(cls, device: torch.device, batch_size: int, samples: float) -> ChunkSizes:
        """What a device of this kind usually holds, of particles with so many image samples."""
        particles = batch_size
        if device.type == "cpu":
            particles = particles_per_block(samples, batch_size, device)
        return cls(_POINTS[device.type], particles)

    def halve(self, error: BaseException) -> None:
        """Halve both from now on.

        Raises
        ------
        BadInputError
            If it cannot be less, or the memory is the computer's own.
        """
        least = self.points <= _MIN_POINTS and self.particles == 1
        if least or exhausted_memory(error) != "GPU":
            raise out_of_memory_error(error) from error
        self.points = max(self.points // 2, _MIN_POINTS)
        self.particles = max(self.particles // 2, 1)
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        self.messages.append(
            f"Out of GPU memory: from now on at most {self.points:,} Fourier samples and "
            f"{self.particles} particles of a step are computed at a time; the result is the same."
        )


def particles_per_block(samples: float, most: int, device: torch.device) -> int:
    """How many particles with so many image samples each to take together, at most."""
    in_block = _SAMPLES_IN_BLOCK[device.type]
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        in_block = min(in_block, total // _BYTES_OF_GPU_PER_SAMPLE)
    return max(1, min(most, int(in_block / samples)))


def exhausted_memory(error: BaseException) -> str:
    """Whose memory has run out, ``GPU`` or ``computer``; empty if it is another error."""
    text = str(error).lower()
    if isinstance(error, torch.OutOfMemoryError) or "mps backend out of memory" in text:
        return "GPU"
    if isinstance(error, MemoryError) or "can't allocate memory" in text:
        return "computer"
    return ""


def out_of_memory_error(error: BaseException) -> BadInputError:
    """Make the error that says in a sentence whose memory is not enough."""
    asked = re.search(r"allocate ([\d.,]+ ?(?:bytes|[KMGT]i?B))", str(error))
    amount = f" ({asked[1]} more were asked for)" if asked else ""
    return BadInputError(
        f"The memory of this {exhausted_memory(error)} is not enough{amount}.",
        remedy="Lower the batch size, or the memory for images (data.memory_gb), "
        "so that they are kept in a file.",
        code="out-of-memory",
    )


def translate_memory_errors(events: Iterator[T]) -> Iterator[T]:
    """Pass events on; turn an out-of-memory error into a `BadInputError` of one sentence."""
    try:
        yield from events
    except (RuntimeError, MemoryError) as error:
        if not exhausted_memory(error):
            raise
        raise out_of_memory_error(error) from error
