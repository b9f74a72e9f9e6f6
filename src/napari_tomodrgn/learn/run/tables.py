"""What a run says of particles and epochs, as rows of tables."""

from __future__ import annotations

from itertools import combinations_with_replacement
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import write_text, written_atomically

if TYPE_CHECKING:
    from napari_tomodrgn.learn.posterior import Posterior

GAIN = "gain_over_first_look_sigma"
METRICS = ["epoch", "seconds", "reconstruction", "kl", "total", "beta", "lr", "held_out", GAIN]
# Latent dimensions up to which covariances are stored.
_MOST_COVARIANCES = 16


def latent_table(particles: ParticleSet, posterior: Posterior) -> pd.DataFrame:
    """Posterior means and log-variances as columns, one row a particle, indexed by identity.

    Covariances, where they are known and not too many, are columns ``cov_i_j``, i ≤ j.
    """
    mu = posterior.mu.cpu().numpy().astype(np.float32)
    logvar = posterior.logvar.cpu().numpy().astype(np.float32)
    columns: dict[str, object] = {
        "tomogram": particles.particles["tomogram"].astype(str).to_numpy(),
        "particle": particles.particles["particle"].astype(str).to_numpy(),
    }
    columns |= {f"mu_{axis}": mu[:, axis] for axis in range(mu.shape[1])}
    columns |= {f"logvar_{axis}": logvar[:, axis] for axis in range(logvar.shape[1])}
    if posterior.covariance is not None and mu.shape[1] <= _MOST_COVARIANCES:
        covariance = posterior.covariance.cpu().numpy().astype(np.float32)
        pairs = combinations_with_replacement(range(mu.shape[1]), 2)
        columns |= {f"cov_{i}_{j}": covariance[:, i, j] for i, j in pairs}
    index = pd.Index(particles.ids, name="particle_id", dtype=object)
    return pd.DataFrame(columns, index=index)


def read_latents(file: Path) -> pd.DataFrame:
    """A table of latents, indexed by identity.

    Raises
    ------
    BadInputError
        If the file is damaged, or has latents that are no numbers.
    """
    try:
        table = pd.read_parquet(file).set_index("particle_id")
    except (OSError, ValueError, KeyError) as error:
        raise BadInputError(f"{file}: damaged ({error}).", code="bad-latents") from error
    for name in table.columns[table.columns.str.startswith("mu_")]:
        bad = ~np.isfinite(table[name].to_numpy(np.float64))
        if bad.any():
            raise BadInputError(
                f"{file}: {name} of particle {table.index[int(bad.argmax())]} is no number "
                f"({int(bad.sum())} such).",
                remedy="Copy the run again, or take another epoch.",
                code="bad-latents",
            )
    return table


def read_metrics(file: Path) -> pd.DataFrame:
    """A table of losses, one row an epoch; without rows where there is none yet.

    Raises
    ------
    BadInputError
        If the file is damaged.
    """
    if not file.exists():
        return pd.DataFrame(columns=METRICS)
    try:
        table = pd.read_csv(file)
        table = table.astype(dict.fromkeys(table.columns, np.float64)).astype({"epoch": int})
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise BadInputError(
            f"{file}: no table of losses ({reason}).",
            remedy="Restore it from a copy, or delete it: only these losses are lost.",
            code="bad-metrics",
        ) from error
    return table


def write_latents(file: Path, particles: ParticleSet, posterior: Posterior) -> None:
    """Write a table of latents; rows are the particles of the set, by identity."""
    table = latent_table(particles, posterior)
    with written_atomically(file) as temporary:
        table.reset_index().to_parquet(temporary, index=False)


def without_nan(value: object) -> object:
    """The same with null for what is not a number, as JSON has no such thing."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def gain_over_first_look(metrics: pd.DataFrame, epoch: int) -> float:
    """The column of that name at an epoch; NaN where a table of an earlier version has none."""
    if GAIN not in metrics:
        return float("nan")
    found = metrics.loc[metrics["epoch"] == epoch, GAIN]
    return float(found.iloc[-1]) if len(found) else float("nan")


def append_metrics(file: Path, row: dict[str, float]) -> None:
    """Add an epoch to a table of losses; one that was there already is replaced."""
    written = file.read_text(encoding="utf-8").splitlines()[1:] if file.exists() else []
    # As text, so that what was written stays letter for letter.
    earlier = [line for line in written if int(line.split(",")[0]) < row["epoch"]]
    lines = [",".join(METRICS), *earlier, ",".join(str(row[name]) for name in METRICS)]
    write_text(file, "\n".join(lines) + "\n")
