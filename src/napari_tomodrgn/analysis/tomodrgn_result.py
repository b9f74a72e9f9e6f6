"""A finished result of tomoDRGN as a run: its latents, clusters and UMAP, not its network.

tomoDRGN writes ``config.pkl`` (a dict), ``z.E.train.pkl`` (means and log-variances, two pickles one
after the other), and ``analyze.E/`` with ``umap.pkl`` and ``kmeansK/labels.pkl``. They are read by
`data.safe_pickle`: nothing in them is run. Rows are particles in the order of the star file.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from napari_tomodrgn.analysis.latents.analyze import UMAP_COLUMNS
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.safe_pickle import read_arrays, read_settings
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.run.analysis_files import AnalysisInfo
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.run_info import RunInfo

_LATENTS = re.compile(r"z(?:\.(\d+))?(?:\.train)?\.pkl")


@dataclass(frozen=True)
class Imported:
    """The run, and sentences about what it lacks."""

    run: Run
    notes: tuple[str, ...]


def import_result(
    result: str | Path,
    out: str | Path,
    source: str | Path | None = None,
    images: str | Path | None = None,
) -> Imported:
    """Make a run of a folder that ``tomodrgn train_vae`` wrote.

    Parameters
    ----------
    result
        The folder.
    out
        Run directory to make.
    source
        Star file of the particles; by default the one that ``config.pkl`` names.
    images
        Folder of the image stacks, if they are not where the star file says.

    Raises
    ------
    BadInputError
        If the folder holds no latents, they are damaged, or belong to other particles.
    """
    result = Path(result)
    epoch, file = _latents_file(result)
    mu, logvar = read_arrays(file, 2)
    if mu.ndim != 2 or mu.shape != logvar.shape or not np.isfinite(mu).all():
        raise BadInputError(
            f"{file}: expected means and log-variances of one shape, "
            f"found {mu.shape} and {logvar.shape}.",
            code="bad-latents",
        )
    config = result / "config.pkl"
    settings = read_settings(config) if config.exists() else {}
    particles = read_particles(
        source or _source(result, settings), images=images or _datadir(settings)
    )
    if len(particles) != len(mu):
        raise BadInputError(
            f"{file}: has latents of {len(mu)} particles, {particles.source.path} lists "
            f"{len(particles)}.",
            remedy="Name the star file that was trained on with --source.",
            code="other-particles",
        )
    info = _describe(particles, settings, mu.shape[1], result)
    run = Run.create(out, info, particles)
    posterior = Posterior(torch.from_numpy(np.float32(mu)), torch.from_numpy(np.float32(logvar)))
    run.save_latents(epoch, particles, posterior)
    notes = [
        "Volumes cannot be decoded: the network is tomoDRGN's; train a run to see volumes here."
    ]
    return Imported(run, (*notes, *_import_analysis(result, run, particles, epoch)))


def _latents_file(result: Path) -> tuple[int, Path]:
    """The latents of the last epoch; those without a number are of the end of the training."""
    found = {
        file: int(match[1] or 0)
        for file in sorted(result.glob("z*.pkl"))
        if (match := _LATENTS.fullmatch(file.name))
    }
    if not found:
        raise BadInputError(
            f"{result}: holds no latents of tomoDRGN (z.train.pkl, z.49.train.pkl).",
            remedy="Name the folder that tomodrgn train_vae wrote.",
            code="no-latents",
        )
    last = max(found.values())
    file = next((file for file in found if file.name in ("z.train.pkl", "z.pkl")), None)
    return max(1, last), file or next(file for file, epoch in found.items() if epoch == last)


def _source(result: Path, settings: dict[Any, Any]) -> Path:
    """The star file that a configuration names: filtered as trained on, else as given."""
    section = _section(settings, "starfile_args")
    names = [section.get("sourcefile_filtered"), section.get("sourcefile")]
    paths = [Path(name) for name in names if isinstance(name, str) and name]
    for path in paths:
        for candidate in (path, result / path, result / path.name, result.parent / path):
            if candidate.is_file():
                return candidate
    named = f"the star file {paths[0]}" if paths else "a star file"
    raise BadInputError(
        f"{result}: {named} of the particles cannot be found.",
        remedy="Name it with --source.",
        code="no-source",
    )


def _datadir(settings: dict[Any, Any]) -> Path | None:
    name = _section(settings, "dataset_args").get("datadir")
    return Path(name) if isinstance(name, str) and Path(name).is_dir() else None


def _section(settings: dict[Any, Any], name: str) -> dict[Any, Any]:
    section = settings.get(name)
    return section if isinstance(section, dict) else {}


def _describe(
    particles: ParticleSet, settings: dict[Any, Any], latent_dim: int, result: Path
) -> RunInfo:
    meta = _section(settings, "meta")
    command = meta.get("cmd")
    words = command if isinstance(command, list) else str(command or "").split()
    source = particles.source.path
    return RunInfo(
        config=RunConfig.model_validate({"model": {"latent_dim": latent_dim}}),
        source=str(source.resolve()),
        source_sha256=hashlib.sha256(source.read_bytes()).hexdigest(),
        dialect=particles.source.dialect,
        sign=1,
        scale=1.0,
        points=0,
        slots=0,
        optics=vars(particles.optics),
        versions={"tomodrgn": str(meta.get("version", "unknown"))},
        device="",
        command=[str(word) for word in words],
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        imported_from=str(result.resolve()),
    )


def _import_analysis(result: Path, run: Run, particles: ParticleSet, epoch: int) -> list[str]:
    """UMAP and clusters of the last analysis, as columns of the particles."""
    folders = sorted(result.glob("analyze.*"), key=lambda folder: _number(folder.suffix))
    if not folders:
        return []
    columns, notes = pd.DataFrame(index=pd.Index(particles.ids, name="particle_id")), []
    labels = sorted(folders[-1].glob("kmeans*/labels.pkl"), key=lambda f: _number(f.parent.name))
    for file in (folders[-1] / "umap.pkl", *labels[-1:]):
        if not file.exists():
            continue
        try:
            (values,) = read_arrays(file, 1)
        except BadInputError as error:
            notes.append(str(error))
            continue
        if len(values) != len(particles):
            notes.append(f"{file}: is of other particles, and was left out.")
        elif file.name == "umap.pkl":
            columns[list(UMAP_COLUMNS)] = np.float32(values).reshape(len(values), -1)[:, :2]
        else:
            _take_labels(run, columns, values.ravel().astype(int))
    if len(columns.columns):
        run.save_extras(columns)
        count = int(columns["cluster"].nunique()) if "cluster" in columns else 0
        info = AnalysisInfo(epoch=epoch, particles=len(particles), clusters=count)
        run.analysis.save_info(info)
        if UMAP_COLUMNS[0] in columns:
            run.analysis.save_umap(info)
    return notes


def _take_labels(run: Run, columns: pd.DataFrame, labels: np.ndarray) -> None:
    width = len(str(labels.max()))
    columns["cluster"] = [f"{label:0{width}d}" for label in labels]
    table = pd.DataFrame({"particle_id": columns.index, "cluster": labels})
    with written_atomically(run.analysis.clusters) as temporary:
        table.to_csv(temporary, index=False)


def _number(text: str) -> int:
    digits = re.search(r"\d+", text)
    return int(digits[0]) if digits else -1
