"""A run is a directory. This is the one place that knows its file names.

    RUN/run.json  particles.star  metrics.csv
        checkpoints/epoch-0010.safetensors  checkpoints/resume.safetensors
        latents/epoch-0010.parquet  analysis/columns.parquet  cache/

Everything is written atomically, so a run on a shared disk can be followed while it grows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from pydantic import ValidationError

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.choice import choose_images
from napari_tomodrgn.data.dialects import read_particles, write_subset
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.files import all_or_none, make_folder, write_text, written_atomically
from napari_tomodrgn.learn.run import tables
from napari_tomodrgn.learn.run.analysis_files import AnalysisFiles
from napari_tomodrgn.learn.run.archive import is_archive, unpacked
from napari_tomodrgn.learn.run.epoch_files import (
    FIRST_LOOK,
    file_stem,
    finished_epochs,
    no_such_epoch,
    reject_taken,
)
from napari_tomodrgn.learn.run.run_info import FORMAT, RunInfo

# torch is imported by what needs a network: a window shows latents a second before it is there.
if TYPE_CHECKING:
    import torch

    from napari_tomodrgn.learn.decoding.volume_decoder import VolumeDecoder
    from napari_tomodrgn.learn.inference.refinement import Refinement
    from napari_tomodrgn.learn.linear.decoder import LinearDecoder
    from napari_tomodrgn.learn.network.model import Vae
    from napari_tomodrgn.learn.posterior import Posterior
    from napari_tomodrgn.learn.runtime.resumable import ResumableWork


_BEHIND_SIGMA = -1.0  # an epoch that gains less over the first look leaves that on show


@dataclass(frozen=True)
class Run:
    """A run directory, as it stands on disk now.

    Attributes
    ----------
    path
        The directory.
    info
        What ``run.json`` says.
    filters_shells
        Whether maps are decoded with the run's shell filter, where it has one.
    """

    path: Path
    info: RunInfo
    filters_shells: bool = True

    @property
    def config(self) -> RunConfig:
        """The configuration that the run was started with."""
        return self.info.config

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open a run directory, or one that was shared as a file (`learn.run.archive`).

        Raises
        ------
        BadInputError
            If there is no run, or ``run.json`` is damaged or of a later version.
        """
        path = unpacked(path) if is_archive(path) else Path(path)
        file = path / "run.json"
        try:
            info = RunInfo.model_validate_json(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise BadInputError(
                f"{path}: not a run directory, it has no readable run.json.", code="not-a-run"
            ) from error
        except (ValidationError, UnicodeDecodeError) as error:
            raise BadInputError(
                f"{file}: damaged, or written by another program.",
                remedy="Restore it, or train anew.",
                code="bad-run",
            ) from error
        if info.format > FORMAT:
            raise BadInputError(
                f"{file}: format {info.format} is newer than this version reads ({FORMAT}).",
                remedy="Update napari-tomodrgn.",
                code="newer-run",
            )
        return cls(path, info)

    @classmethod
    def create(cls, path: str | Path, info: RunInfo, particles: ParticleSet) -> Run:
        """Make a run directory; refuses a folder that holds another run (`reject_taken`)."""
        run = cls(Path(path).resolve(), info)
        reject_taken(run.path)
        with all_or_none():
            for folder in ("checkpoints", "latents", "analysis"):
                make_folder(run.path / folder)
            write_subset(particles, run.particles_star)
            # Last, so that a folder with a run.json is a complete run.
            run.save_info()
        return run

    def save_info(self) -> None:
        """Write ``run.json``."""
        write_text(self.path / "run.json", self.info.model_dump_json(indent=2) + "\n")

    @property
    def particles_star(self) -> Path:
        """Star file of the particles as trained."""
        return self.path / "particles.star"

    @property
    def resume_file(self) -> Path:
        """State of model and optimiser to go on from."""
        return self.path / "checkpoints" / "resume.safetensors"

    @property
    def components_file(self) -> Path:
        """Its components at full resolution, which the autoencoder's decoder adds to."""
        return self.path / "checkpoints" / "components.safetensors"

    @property
    def known_latents_file(self) -> Path:
        """The latents along these components, of the particles trained on."""
        return self.path / "checkpoints" / "known.safetensors"

    @property
    def refinement_file(self) -> Path:
        """What latents are refined with after the encoder's guess."""
        return self.path / "checkpoints" / "refinement.safetensors"

    @property
    def focus_mask_file(self) -> Path:
        """Mask of the region that the latents are of."""
        return self.path / "focus-mask.mrc"

    @property
    def columns_file(self) -> Path:
        """More columns of the particles: surroundings, UMAP, tables that were joined."""
        return self.analysis.folder / "columns.parquet"

    @property
    def analysis(self) -> AnalysisFiles:
        """What an analysis wrote, or is to write."""
        return AnalysisFiles(self.path / "analysis")

    @property
    def early_stopping_file(self) -> Path:
        """Errors of held-out images in the best epoch."""
        return self.path / "checkpoints" / "held-out.safetensors"

    @property
    def quality_file(self) -> Path:
        """What was measured of the run when it ended."""
        return self.path / "analysis" / "quality.json"

    def resumable(self, piece: str, work: str = "") -> ResumableWork:
        """Where a long piece of work before or after training is kept while it is done."""
        from napari_tomodrgn.learn.runtime.resumable import ResumableWork

        file = self.path / "checkpoints" / f"kept-{piece}.safetensors"
        return ResumableWork(file, f"{piece} {work}".strip(), self.config.train.save_seconds)

    def clear_resumable(self) -> None:
        """Remove what was kept of such pieces: they are over."""
        for file in (self.path / "checkpoints").glob("kept-*.safetensors"):
            file.unlink(missing_ok=True)

    def weights_file(self, epoch: int) -> Path:
        """Weights after an epoch; of the first look, what the linear engine fitted."""
        return self.path / "checkpoints" / f"{file_stem(epoch)}.safetensors"

    def latents_file(self, epoch: int) -> Path:
        """Latents after an epoch, or of the first look."""
        return self.path / "latents" / f"{file_stem(epoch)}.parquet"

    @property
    def has_first_look(self) -> bool:
        """Whether an autoencoder started from the linear engine, whose fit is then epoch 0."""
        return self.weights_file(FIRST_LOOK).exists() and self.latents_file(FIRST_LOOK).exists()

    def epochs(self) -> list[int]:
        """Epochs that have both latents and weights, ascending; the first look is none of them."""
        return finished_epochs(self.path, with_weights=not self.info.imported_from)

    def last_epoch(self, epoch: int | None = None) -> int:
        """``epoch`` if it is there; if None the one that the run ended with, or the last so far.

        Before the first epoch that is `FIRST_LOOK`, where there is one.

        Raises
        ------
        BadInputError
            If the run has no (such) epoch.
        """
        known = self.epochs()
        if epoch is None and known:
            chosen = self.info.chosen_epoch
            epoch = chosen if chosen in (FIRST_LOOK, *known) else known[-1]
        if epoch in known:
            return epoch
        if epoch in (None, FIRST_LOOK) and self.has_first_look:
            return FIRST_LOOK
        raise no_such_epoch(self.path, known, epoch)

    def latents(self, epoch: int | None = None) -> pd.DataFrame:
        """Latents: index ``particle_id``, columns tomogram, particle, mu_0 …, logvar_0 …"""
        return tables.read_latents(self.latents_file(self.last_epoch(epoch)))

    def epoch_to_show(self) -> int | None:
        """The epoch to look at: the one that the run ended with, or the last good one so far.

        Good is what explains held-out images not surely worse than the first look; where none is,
        it is `FIRST_LOOK`. None where there is nothing to look at yet.
        """
        if not self.epochs():
            return FIRST_LOOK if self.has_first_look else None
        if self.info.chosen_epoch is not None or not self.has_first_look:
            return self.last_epoch()
        metrics = self.metrics()
        gains = {one: tables.gain_over_first_look(metrics, one) for one in self.epochs()}
        return max((one for one in gains if not gains[one] < _BEHIND_SIGMA), default=FIRST_LOOK)

    def extras(self) -> pd.DataFrame | None:
        """More columns of the particles, index ``particle_id``; None where none were kept."""
        if not self.columns_file.exists():
            return None
        try:
            return pd.read_parquet(self.columns_file).set_index("particle_id")
        except (OSError, ValueError, KeyError) as error:
            raise BadInputError(
                f"{self.columns_file}: damaged ({error}).",
                remedy="Delete it, and compute the columns anew.",
                code="bad-columns",
            ) from error

    def save_extras(self, table: pd.DataFrame) -> None:
        """Write more columns of the particles, instead of those that were kept."""
        with written_atomically(self.columns_file) as temporary:
            table.rename_axis("particle_id").reset_index().to_parquet(temporary, index=False)

    def metrics(self) -> pd.DataFrame:
        """One row an epoch: losses, seconds, beta, learning rate."""
        file = self.path / "metrics.csv"
        return tables.read_metrics(file)

    def particles(
        self, images: str | Path | None = None, *, images_needed: bool = True
    ) -> ParticleSet:
        """The particles as trained: their tilt images, and their optics as the settings say."""
        particles = self.stored_particles(images, images_needed=images_needed)
        return choose_images(particles, self.config.data)

    def stored_particles(
        self, images: str | Path | None = None, *, images_needed: bool = True
    ) -> ParticleSet:
        """The particles with all their tilt images, as they are to be written back."""
        optics = self.info.to_optics()
        particles = read_particles(
            self.particles_star,
            images=images,
            dialect=self.info.dialect,
            overrides=self.info.overrides,
            images_needed=images_needed,
            box_size_px={one.pixel_size_angstrom: one.box_size_px for one in optics.stored},
        )
        particles = particles.with_optics(
            ctf_premultiplied=optics.ctf_premultiplied, dose_weighted=optics.dose_weighted
        )
        return particles.with_overrides(self.config.data)

    def refuse_imported(self) -> None:
        """Raise where there is no network of ours: the run is another program's."""
        if self.info.imported_from:
            lacks = "came without its network" if self.info.network is None else "is tomoDRGN's"
            raise BadInputError(
                f"{self.path}: the run of another program, which {lacks}, so this cannot be done.",
                remedy="Train a run on its particles.star.",
                code="imported",
            )

    def model(self, epoch: int | None = None, device: torch.device | str = "cpu") -> Vae:
        """The autoencoder after an epoch, ready to be asked."""
        from napari_tomodrgn.learn.network.fast_linear import ProductTable
        from napari_tomodrgn.learn.network.model import Vae
        from napari_tomodrgn.learn.run.checkpoint import load_weights

        self.refuse_imported()
        if self.last_epoch(epoch) == FIRST_LOOK:
            raise BadInputError(
                f"{self.path}: the first look (epoch 0) is of the linear engine, not of a network.",
                remedy="Train for one epoch first.",
                code="no-epoch",
            )
        info, box = self.info, self.info.to_optics().box_size_px
        products = ProductTable.of_machine(info.products)
        model = Vae(info.config.model, box, info.points, info.slots, products=products)
        load_weights(self.weights_file(self.last_epoch(epoch)), model)
        model.decoder.start_from(self.linear_components(device))
        return model.to(device).eval().requires_grad_(requires_grad=False)

    def decoder(
        self, epoch: int | None = None, device: torch.device | str = "cpu"
    ) -> VolumeDecoder:
        """Latents → maps, with the weights of an epoch (the last one if None)."""
        from napari_tomodrgn.learn.run.decoders import read_volume_decoder

        chosen, factors = self.last_epoch(epoch), self.shell_filter(epoch)
        linear = self.config.method == "linear" or chosen == FIRST_LOOK
        autoencoder = None if linear else lambda: self.model(chosen, device).decoder
        weights = self.weights_file(chosen)
        return read_volume_decoder(self.info, weights, autoencoder, factors, device)

    def shell_filter(self, epoch: int | None = None) -> list[float] | None:
        """Factors by Fourier shell of how far maps of an epoch differ from that of latent 0.

        None where they differ as learnt: of epochs that the run did not end with, or switched off.
        """
        ended = self.last_epoch(epoch) == self.info.chosen_epoch
        return self.info.shell_filter if self.filters_shells and ended else None

    def with_shell_filter(self, *, on: bool) -> Run:
        """The same run, whose maps are decoded with its shell filter, or as they were learnt."""
        return replace(self, filters_shells=on)

    @property
    def maps_key(self) -> str:
        """Tells whose maps are meant: where the run is, and how it makes them by now."""
        known = (self.info.shell_filter, self.info.class_filters)
        shown = known if self.filters_shells and self.info.shell_filter else "unfiltered"
        return f"{self.path} {shown} {self.info.first_look_radius_px}"

    def linear_components(self, device: torch.device | str) -> LinearDecoder | None:
        """The components that the autoencoder starts from, without their mean; None without."""
        from napari_tomodrgn.learn.linear.decoder import LinearDecoder

        if self.config.method == "linear" or not self.components_file.exists():
            return None
        whole = LinearDecoder.read(self.components_file)
        return whole.without_mean(self.config.model.latent_dim).to(device)

    def refinement(
        self, epoch: int | None = None, device: torch.device | str = "cpu"
    ) -> Refinement | None:
        """What refines the encoder's latents of an epoch; None where they were not refined."""
        from napari_tomodrgn.learn.inference.refinement import Refinement

        if not self.refinement_file.exists():
            return None
        refinement, refined = Refinement.read(self.refinement_file)
        return refinement.to(device) if refined == self.last_epoch(epoch) else None

    def save_latents(self, epoch: int, particles: ParticleSet, posterior: Posterior) -> Path:
        """Write the latents of an epoch; rows are the particles of the set, by identity."""
        tables.write_latents(self.latents_file(epoch), particles, posterior)
        return self.latents_file(epoch)

    def save_quality(self, told: dict[str, object]) -> None:
        """Write what was measured of the run when it ended, or of its first look."""
        write_text(self.quality_file, json.dumps(tables.without_nan(told), indent=2) + "\n")

    def quality(self) -> dict[str, object]:
        """What was measured when the run ended (`learn.training.finalize`), or at its first look.

        Empty before. ``epoch`` says of which it is.
        """
        try:
            return dict(json.loads(self.quality_file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise BadInputError(
                f"{self.quality_file}: damaged ({error}).", code="bad-run"
            ) from error

    def append_metrics(self, row: dict[str, float]) -> None:
        """Add an epoch; one that was there already (a resumed run) is replaced."""
        tables.append_metrics(self.path / "metrics.csv", row)


def cache_file(path: Path) -> Path:
    """File of Fourier samples in a run directory, which may be made before the run is."""
    return path / "cache" / "samples.npy"
