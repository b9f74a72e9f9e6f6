"""Latents that an autoencoder is given: those along the axes that the linear engine confirmed.

An encoder guesses them worse than the closed form knows them, the faint ones not at all; and where
it does not know a latent, the penalty takes it out of the decoder, too. Of 800 ribosomes in five
compositions (31 tilts, box 32, SNR 0.05) 5S RNP or not is the third axis: the variance of its
latent fell to 0.00 within twelve epochs, and the epochs explained held-out images worse than what
they had begun with. So the first latents of every particle are what its images say in closed form;
the encoder gives those beyond.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.learn.inference.methods import Inference
from napari_tomodrgn.learn.posterior import Posterior
from napari_tomodrgn.learn.runtime.tensors import read_tensors

_NAMES = ("mu", "covariance")


@dataclass(frozen=True, eq=False)
class KnownLatents:
    """Posteriors of the first latents of all particles of a set.

    After the last particle stands the prior, for a particle that only fills a batch.

    Attributes
    ----------
    training
        ``(particle + 1, known)`` from the images that are not held out.
    everything
        The same from all images.
    """

    training: Posterior
    everything: Posterior

    def fill(self, guess: Posterior, rows: Tensor | slice, *, training_only: bool) -> Posterior:
        """Put what is known of particles ``(row,)`` in place of their first latents."""
        known = self.training if training_only else self.everything
        return guess.beginning_with(Posterior(known.mu[rows], known.logvar[rows]))

    def save(self, path: Path) -> None:
        """Write both, float32."""
        tensors = {
            f"{which}.{name}": getattr(found, name).detach().float().cpu().contiguous()
            for which, found in (("training", self.training), ("all", self.everything))
            for name in _NAMES
        }
        with written_atomically(path) as temporary:
            save_file(tensors, temporary)

    @classmethod
    def read(cls, path: Path, device: torch.device | str = "cpu") -> KnownLatents:
        """Read what `save` wrote.

        Raises
        ------
        BadInputError
            If the file is absent or damaged.
        """
        try:
            tensors, _ = read_tensors(path)
            training, everything = (
                Posterior.of(*(tensors[f"{which}.{name}"].to(device) for name in _NAMES))
                for which in ("training", "all")
            )
        except KeyError as error:
            raise BadInputError(
                f"{path}: lacks {error}, of the latents that the network was trained with.",
                remedy="Copy the run again.",
                code="bad-checkpoint",
            ) from error
        return cls(training, everything)

    @classmethod
    def of(cls, training: Posterior, everything: Posterior, count: int) -> KnownLatents:
        """The first ``count`` latents of posteriors ``(particle, latent)``, float32."""
        pad = torch.nn.functional.pad

        def first(found: Posterior) -> Posterior:
            """With a row more."""
            mu = pad(found.mu[:, :count].float(), (0, 0, 0, 1))
            assert found.covariance is not None  # as of whatever is known in closed form
            known = found.covariance[:, :count, :count].float()
            return Posterior.of(mu, torch.cat([known, torch.eye(count).to(known)[None]]))

        return cls(first(training), first(everything))


@dataclass(frozen=True, eq=False)
class KnownInference:
    """Posteriors of the first latents, from any images: looked up where they are known by now.

    Attributes
    ----------
    data
        The set.
    closed_form
        How they are found.
    count
        How many latents they are of.
    tables
        Of the set's particles; None for others than those trained on.
    """

    data: TiltData
    closed_form: Inference
    count: int
    tables: KnownLatents | None = None

    def __call__(self, rows: Tensor, images: Tensor) -> Posterior:
        """See `Inference`."""
        if self.tables is not None:
            if torch.equal(images, self.data.training):
                return self._at(self.tables.training, rows)
            if bool(images.all()):
                return self._at(self.tables.everything, rows)
        found, first = self.closed_form(rows, images), slice(self.count)
        assert found.covariance is not None
        return Posterior.of(found.mu[:, first].float(), found.covariance[:, first, first].float())

    def _at(self, table: Posterior, rows: Tensor) -> Posterior:
        assert table.covariance is not None
        return Posterior.of(table.mu[rows].cpu(), table.covariance[rows].cpu())
