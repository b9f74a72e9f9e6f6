"""Which particles and tilt images of a set are taken: tomograms, lists, numbers of tilts, dose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_tomodrgn.config import DataConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tomograms import stem
from napari_tomodrgn.errors import BadInputError


def choose_particles(particles: ParticleSet, data: DataConfig) -> ParticleSet:
    """The particles that the settings ask for, with all their images.

    Raises
    ------
    BadInputError
        If a tomogram or particle is not in the set, no series has a tilt to exclude, or none is
        left.
    """
    _reject_unknown_tilts(particles, data.exclude_tilts)
    chosen = particles
    if data.tomograms:
        chosen = chosen.take(_in_tomograms(chosen, data.tomograms))
    if data.particles is not None:
        # Of the whole set, so that one of another tomogram is not called unknown.
        listed = particles.select(read_ids(data.particles)).particles.index
        chosen = chosen.take(np.asarray(chosen.particles.index.isin(listed)))
    if data.min_tilts is not None:
        left = choose_images(chosen, data) if len(chosen) else chosen
        enough = left.particles.index[left.particles["tilts"] >= data.min_tilts]
        chosen = chosen.take(np.asarray(chosen.particles.index.isin(enough)))
    if not len(chosen):
        raise BadInputError(
            f"{particles.source.path}: no particle is left of {len(particles)}, by {_words(data)}.",
            code="no-particles",
        )
    return chosen


def _reject_unknown_tilts(particles: ParticleSet, excluded: tuple[int, ...]) -> None:
    """Raise if a series would have to be longer; tilts that are in none may have been left out."""
    if not excluded:
        return
    last = int(particles.images["tilt_index"].max())
    beyond = [number for number in excluded if number > last]
    if beyond:
        raise BadInputError(
            f"{particles.source.path}: no tilt series has a tilt {beyond[0]} to exclude; they are "
            f"numbered from 0 to {last}.",
            code="no-tilt",
        )


def choose_images(particles: ParticleSet, data: DataConfig) -> ParticleSet:
    """The set without the tilt images that the settings leave out; particles without any go too.

    Raises
    ------
    BadInputError
        If none is left, or the first by dose are asked for and doses do not tell them.
    """
    keep = np.ones(len(particles.images), dtype=bool)
    if data.exclude_tilts:
        keep &= ~particles.images["tilt_index"].isin(data.exclude_tilts).to_numpy()
    dose = particles.images["dose_e_per_angstrom2"].to_numpy(np.float64)
    if data.max_dose_e_per_angstrom2 is not None:
        keep &= dose <= data.max_dose_e_per_angstrom2
    if data.max_tilts is not None:
        keep &= _first_by_dose(particles, dose, keep, data.max_tilts)
    if keep.all():
        return particles
    if not keep.any():
        raise BadInputError(
            f"{particles.source.path}: no tilt image is left of {len(keep)}, by {_words(data)}.",
            code="no-images",
        )
    return particles.filter_images(keep)


def _first_by_dose(
    particles: ParticleSet, dose: NDArray[np.float64], among: NDArray[np.bool_], count: int
) -> NDArray[np.bool_]:
    """The ``count`` images of each particle that were taken first, of those in ``among``."""
    if len(dose) > len(particles) and np.ptp(dose) == 0:
        raise BadInputError(
            f"{particles.source.path}: all images have the same dose, so the first "
            f"{count} of a particle cannot be told.",
            remedy="Give the dose of one tilt with --dose-per-tilt.",
            code="no-dose",
        )
    owner = particles.images["particle_id"].cat.codes.to_numpy()
    order = pd.Series(np.where(among, dose, np.inf)).groupby(owner).rank(method="first")
    return np.asarray(order.to_numpy() <= count)


def _in_tomograms(particles: ParticleSet, names: tuple[str, ...]) -> NDArray[np.bool_]:
    own = particles.particles["tomogram"].astype(str)
    known = set(own) | {stem(name) for name in set(own)}
    missing = [name for name in names if stem(name) not in known and name not in known]
    if missing:
        shown = ", ".join(list(dict.fromkeys(own))[:8])
        raise BadInputError(
            f"{particles.source.path}: no tomogram is called {missing[0]!r}; there are: {shown}"
            f"{', …' if own.nunique() > 8 else ''}.",
            code="no-tomogram",
        )
    wanted = {*names, *map(stem, names)}
    return np.asarray(own.isin(wanted) | own.map(stem).isin(wanted))


def _words(data: DataConfig) -> str:
    """What was asked for, as the settings are called."""
    fields = type(data).model_fields
    said = [
        f"{name} {value if isinstance(value, str | int | float) else ', '.join(map(str, value))}"
        for name in data.choice_fields()
        if (value := getattr(data, name)) != fields[name].default
    ]
    return "; ".join(said)


def read_ids(path: str | Path) -> list[str]:
    """Identities of particles from a list, a table or a star file.

    Parameters
    ----------
    path
        ``.star``: of the particles, or an optimisation set. ``.csv``: with the column
        ``particle_id``, or with ``tomogram`` and ``particle``. Else text, one identity a line.

    Raises
    ------
    BadInputError
        If the file cannot be read or holds none.
    """
    path = Path(path)
    if path.suffix.lower() == ".star":
        return read_particles(path, images_needed=False).ids
    try:
        # A byte order mark, as editors on Windows write it, is no part of the first name.
        if path.suffix.lower() == ".csv":
            ids = _column_of_ids(path)
        else:
            ids = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        if isinstance(error, BadInputError):
            raise
        raise BadInputError(f"{path}: cannot be read as a list of particles ({error}).") from error
    ids = [line.strip() for line in ids if line.strip()]
    if not ids:
        raise BadInputError(f"{path}: holds no particle ids.")
    return ids


def _column_of_ids(path: Path) -> list[str]:
    table = pd.read_csv(path, dtype=str, encoding="utf-8-sig", keep_default_na=False)
    if "particle_id" in table:
        return [str(name) for name in table["particle_id"]]
    if {"tomogram", "particle"} <= set(table.columns):
        return [f"{a}/{b}" for a, b in zip(table["tomogram"], table["particle"], strict=True)]
    raise BadInputError(
        f"{path}: has no column particle_id, nor tomogram and particle; "
        f"found {', '.join(map(str, table.columns[:8]))}.",
        code="missing-column",
    )
