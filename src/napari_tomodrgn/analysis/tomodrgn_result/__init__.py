"""A finished result of tomoDRGN as a run: latents, network, clusters, UMAP and losses.

``config.pkl`` (a dict), ``z.E.train.pkl`` (means and log-variances, two pickles one after the
other), ``weights.E.pkl`` and ``analyze.E/`` are read so that nothing in them is run. Rows are
particles in the order of the star file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from napari_tomodrgn.analysis.tomodrgn_result.analyses import import_analyses
from napari_tomodrgn.analysis.tomodrgn_result.folder import Epoch, ResultFolder
from napari_tomodrgn.analysis.tomodrgn_result.network import (
    network_of,
    save_network,
    scale_and_sign,
)
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.safe_pickle import read_arrays
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.run_info import RunInfo
from napari_tomodrgn.learn.run.tables import METRICS

__all__ = ["Imported", "import_result"]


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
    folder = ResultFolder.open(result)
    particles, notes = _particles(folder, source, images)
    particles.refuse_mixed()
    posteriors = _posteriors(folder, particles, notes)
    latent_dim = posteriors[folder.epochs[-1]].mu.shape[1]
    info, lacking = _with_network(_describe(particles, folder, latent_dim), folder)
    run = Run.create(out, info, particles)
    weights: list[str] = []
    for epoch, posterior in posteriors.items():
        run.save_latents(epoch.number, particles, posterior)
        weights += _import_weights(folder, run, epoch)
    for row in folder.losses():
        run.append_metrics(dict.fromkeys(METRICS, np.nan) | row)
    notes += lacking + weights + import_analyses(folder, run, particles)
    return Imported(run, tuple(notes))


def _particles(
    folder: ResultFolder, source: str | Path | None, images: str | Path | None
) -> tuple[ParticleSet, list[str]]:
    """The particles; without their images, and a sentence, where these are not found."""
    star = source or folder.star()
    where = images or folder.images()
    try:
        return read_particles(star, images=where), []
    except BadInputError as error:
        if images is not None:
            raise
        try:
            box = folder.box_size_px()
            particles = read_particles(star, images_needed=False, box_size_px=box)
        except BadInputError:
            raise error from None
        return particles, [f"{error} Embedding and reconstructing need the images."]


def _posteriors(
    folder: ResultFolder, particles: ParticleSet, notes: list[str]
) -> dict[Epoch, Posterior]:
    """Latents of all epochs, ascending; damaged ones before the last are left out and said."""
    *earlier, last = folder.epochs
    final = _posterior(last, particles)
    found = {}
    for epoch in earlier:
        try:
            posterior = _posterior(epoch, particles)
        except BadInputError as error:
            notes.append(f"Epoch {epoch.number} was left out: {error}")
            continue
        if posterior.mu.shape == final.mu.shape:
            found[epoch] = posterior
        else:
            notes.append(f"Epoch {epoch.number} was left out: other latent dimensions.")
    return {**found, last: final}


def _posterior(epoch: Epoch, particles: ParticleSet) -> Posterior:
    file = epoch.latents
    mu, logvar = read_arrays(file, 2)
    if mu.ndim != 2 or mu.shape != logvar.shape or not np.isfinite(mu).all():
        raise BadInputError(
            f"{file}: expected means and log-variances of one shape, "
            f"found {mu.shape} and {logvar.shape}.",
            code="bad-latents",
        )
    if len(particles) != len(mu):
        raise BadInputError(
            f"{file}: has latents of {len(mu)} particles, {particles.source.path} lists "
            f"{len(particles)}.",
            remedy="Name the star file that was trained on with --source.",
            code="other-particles",
        )
    return Posterior(torch.from_numpy(np.float32(mu)), torch.from_numpy(np.float32(logvar)))


def _describe(particles: ParticleSet, folder: ResultFolder, latent_dim: int) -> RunInfo:
    meta = folder.section("meta")
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
        imported_from=str(folder.path.resolve()),
    )


def _with_network(info: RunInfo, folder: ResultFolder) -> tuple[RunInfo, list[str]]:
    """The same with what is known of the network, and a sentence where there is none."""
    lacking = "Volumes cannot be decoded"
    if not any(epoch.weights for epoch in folder.epochs):
        return info, [f"{lacking}: {folder.path} holds no weights (weights.pkl)."]
    try:
        network, (scale, sign) = network_of(folder), scale_and_sign(folder)
    except BadInputError as error:
        return info, [f"{lacking}: {error}"]
    if network.box_size_px != info.optics["box_size_px"]:
        words = f"{network.box_size_px} px, the particles have {info.optics['box_size_px']} px"
        return info, [f"{lacking}: the network is of images of {words}."]
    update: dict[str, object] = {"network": network, "scale": scale, "sign": sign}
    notes = [_angstrom_note(folder, info)] + (
        [f"New images cannot be embedded: {network.without_encoder}."]
        if network.without_encoder
        else []
    )
    return info.model_copy(update=update), [note for note in notes if note]


def _angstrom_note(folder: ResultFolder, info: RunInfo) -> str:
    trained, here = folder.settings.get("angpix"), info.optics["pixel_size_angstrom"]
    if trained is None or abs(float(trained) - here) <= 1e-3 * here:
        return ""
    return f"The network was trained at {float(trained):g} Å/px, the star file says {here:g}."


def _import_weights(folder: ResultFolder, run: Run, epoch: Epoch) -> list[str]:
    if run.info.network is None:
        return []
    if epoch.weights is None:
        return [f"Volumes of epoch {epoch.number} cannot be decoded: its weights were not kept."]
    try:
        save_network(folder, epoch.weights, run.info.network, run.weights_file(epoch.number))
    except BadInputError as error:
        return [f"Volumes of epoch {epoch.number} cannot be decoded: {error}"]
    return []
