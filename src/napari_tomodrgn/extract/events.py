"""What an extraction yields."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ExtractStarted:
    """Everything is read: so many particles in so many tomograms are to be cut."""

    tomograms: int
    particles: int


@dataclass(frozen=True)
class ExtractNotice:
    """Something the user should know, in one sentence."""

    message: str


@dataclass(frozen=True)
class ExtractProgress:
    """``done`` of ``total`` images are cut."""

    done: int
    total: int


@dataclass(frozen=True)
class TomogramDone:
    """The images of a tomogram are written, or were there from before (``reused``)."""

    name: str
    particles: int
    images: int
    hidden: int
    left_out: int
    reused: bool


@dataclass(frozen=True)
class Extracted:
    """Everything is written; ``optimisation_set`` is the file to open."""

    optimisation_set: Path
    particles: int
    images: int


ExtractEvent = ExtractStarted | ExtractNotice | ExtractProgress | TomogramDone | Extracted
