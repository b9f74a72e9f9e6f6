"""Particle lists of PyTom, XML.

Poses are ``Rz(Z2) · Rx(X) · Rz(Z1)``, places ``(PickPosition + Shift) · Binning``.
The direction of the poses and the origin of the places are not settled by the format: the proof on
the data decides them.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.lists.common import ParticleList, SubsetWriter, zxz_rotations
from napari_tomodrgn.extract.lists.stars import numbered
from napari_tomodrgn.extract.text_files import decoded, parse_number, read_bytes

_PARTICLE = re.compile(r"[ \t]*<Particle\b(?![A-Za-z]).*?</Particle>[ \t]*\n?", re.DOTALL)


def read_pytom(path: Path) -> ParticleList:
    """Read a particle list of PyTom.

    Raises
    ------
    BadInputError
        If it is not well formed, or a particle lacks its rotation or place.
    """
    raw = read_bytes(path)
    if b"<!" in raw.replace(b"<!--", b""):
        raise BadInputError(f"{path}: declares entities, which are not read.", code="bad-xml")
    text = decoded(path, raw)
    try:
        root = ElementTree.fromstring(text.encode("utf-8"))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise BadInputError(f"{path}: not well-formed XML ({error}).", code="bad-xml") from error
    particles = list(root.iter("Particle"))
    spans = [match.span() for match in _PARTICLE.finditer(text)]
    if not particles or len(spans) != len(particles):
        raise BadInputError(
            f"{path}: holds {len(particles)} <Particle> elements with {len(spans)} ends; not a "
            "particle list of PyTom.",
            code="not-a-list",
        )
    return _particle_list(path, text, particles, spans)


def _particle_list(
    path: Path,
    text: str,
    particles: list[ElementTree.Element],
    spans: list[tuple[int, int]],
) -> ParticleList:
    rotation = np.array([_numbers(path, p, "Rotation", ("Z1", "X", "Z2")) for p in particles])
    shift = np.array([_numbers(path, p, "Shift", ("X", "Y", "Z"), 0.0) for p in particles])
    pick = np.array([_numbers(path, p, "PickPosition", ("X", "Y", "Z")) for p in particles])
    binning = np.array([_numbers(path, p, "PickPosition", ("Binning",), 1.0)[0] for p in particles])
    binning[binning <= 0] = 1.0  # 0 is how PyTom says that nothing was binned
    tomograms = [_tomogram(p) for p in particles]
    names = [Path(p.get("Filename", "")).stem for p in particles]
    unique = len(set(zip(tomograms, names, strict=True))) == len(names) and all(names)
    return ParticleList(
        path=path,
        format="pytom",
        tomogram=tuple(tomograms),
        particle=tuple(names) if unique else numbered(tomograms),
        coordinates=(pick + shift) * binning[:, None],
        unit="series_px",
        rotations=zxz_rotations(rotation[:, 0], rotation[:, 1], rotation[:, 2]),
        subset=_subset_writer(text, spans),
        origin=None,
        pose_proven=False,
    )


def _subset_writer(text: str, spans: list[tuple[int, int]]) -> SubsetWriter:
    """The same text without the particles that are not chosen."""

    def subset(chosen: NDArray[np.int64]) -> bytes:
        kept = set(chosen.tolist())
        out, at = [], 0
        for row, (start, stop) in enumerate(spans):
            out.append(text[at : stop if row in kept else start])
            at = stop
        return ("".join(out) + text[at:]).encode("utf-8")

    return subset


def _numbers(
    path: Path,
    particle: ElementTree.Element,
    tag: str,
    names: tuple[str, ...],
    default: float | None = None,
) -> list[float]:
    element = particle.find(tag)
    found = []
    for name in names:
        text = None if element is None else element.get(name)
        if text is None and default is None:
            raise BadInputError(
                f"{path}: particle {particle.get('Filename', '?')} has no {name} in <{tag}>.",
                code="bad-row",
            )
        found.append(float(default or 0.0) if text is None else parse_number(path, 1, text))
    return found


def _tomogram(particle: ElementTree.Element) -> str:
    """The tomogram that the particle was picked in, else the folder of its file."""
    pick = particle.find("PickPosition")
    origin = "" if pick is None else pick.get("Origin", "")
    if origin:
        return Path(origin).stem
    return Path(particle.get("Filename", "")).parent.name or "?"
