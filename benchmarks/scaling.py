"""What a set costs in memory, disk and time, by formula: ``python benchmarks/scaling.py``.

The formulas of ``docs/benchmarks.md`` against what is measured at four sizes, with noise in the
place of images; then what they say of large sets.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from million import MadeUp, particle_set
from torch import nn

from napari_tomodrgn.config import ModelConfig, RunConfig
from napari_tomodrgn.data.fourier_images import FourierImages
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.learn.network.fast_linear import as_pixels, default_products, dense
from napari_tomodrgn.learn.network.model import Vae
from napari_tomodrgn.learn.run.checkpoint import Position
from napari_tomodrgn.learn.training.trainer import Trainer, make_optimiser
from napari_tomodrgn.learn.training.whole_set import embed_all, held_out_errors
from napari_tomodrgn.physics.lattice import half_plane

HELD_OUT_POINTS = 256
DEFAULT = ModelConfig()


@dataclass(frozen=True)
class Size:
    """A set, and how many samples of a particle a step takes."""

    particles: int
    tilts: int
    box: int
    points: int = 512
    model: ModelConfig = DEFAULT

    @property
    def samples(self) -> float:
        """Fourier samples of an image."""
        return torch.pi / 8 * self.box**2

    @property
    def file_bytes(self) -> float:
        """Images in half precision, on disk."""
        return 4 * self.particles * self.tilts * self.samples

    @property
    def table_bytes(self) -> float:
        """In memory, whatever the images: table 115, tensors 69, and 144 for a moment."""
        return self.particles * self.tilts * (115 + 69 + 144)

    @property
    def latent_bytes(self) -> float:
        """Of a parquet file with covariances."""
        width = self.model.latent_dim
        return self.particles * 4 * (2 * width + width * (width + 1) / 2)

    @property
    def touched(self) -> float:
        """Image samples of an epoch: for the steps, the held-out loss, the latents."""
        return 3 * self.particles * self.tilts * self.samples

    def flop(self) -> float:
        """Of an epoch: steps (one forward, two backward), held-out loss, latents."""
        model, width = self.model, self.model.decoder_dim
        hidden = model.decoder_layers * width**2 + 2 * width
        first = 3 * self.box * width  # of the decoder, whose input nobody wants a gradient for
        encoder_first = 2 * self.samples * model.image_encoder_dim
        encoder_rest = model.image_encoder_layers * model.image_encoder_dim**2
        encoder_rest += model.image_encoder_dim * model.image_features
        point, image = first + hidden, encoder_first + encoder_rest
        step = self.points * (2 * first + 3 * hidden)
        step += 0.9 * self.tilts * (2 * encoder_first + 3 * encoder_rest)
        ending = HELD_OUT_POINTS * point + 1.9 * self.tilts * image
        return 2 * self.particles * (step + ending)


def rate() -> float:
    """FLOP/s of the decoder's middle layer, there and back, as fast as it goes here."""
    x = torch.randn((4096, 256), requires_grad=True)
    layer, best = nn.Linear(256, 256), float("inf")
    for _ in range(30):
        began = time.perf_counter()
        dense(
            as_pixels(x, layer.out_features, default_products()), layer.weight, layer.bias
        ).sum().backward()
        best = min(best, time.perf_counter() - began)
    return 3 * 2 * 4096 * 256 * 256 / best


def noise(size: Size) -> TiltData:
    """A set of that size with noise in the place of images."""
    particles, lattice = particle_set(size.particles, size.tilts, size.box), half_plane(size.box)
    images = MadeUp(size.particles * size.tilts, len(lattice), size.tilts * 16)
    data = TiltData(particles, FourierImages(images, 1.0), lattice, RunConfig().weight)  # type: ignore[arg-type]
    data.hold_out(0.1, 0)
    return data


def seconds_per_sample() -> float:
    """What CTF, dose, weights and copies of an image sample take."""
    data, best = noise(Size(8, 41, 64)), float("inf")
    for _ in range(30):
        began = time.perf_counter()
        batch = data.batch(torch.arange(8))
        _ = batch.samples * (batch.phase * batch.precision.sqrt())
        best = min(best, time.perf_counter() - began)
    return best / batch.samples.numel()


def measured(size: Size) -> float:
    """Seconds of an epoch of noise, the best of three."""
    config = RunConfig.model_validate(
        {"train": {"batch_size": 16, "points_per_particle": size.points}}
    )
    data, times = noise(size), []
    model = Vae(config.model, size.box, len(data.lattice), size.tilts)
    optimiser = make_optimiser(model, config, torch.device("cpu"))
    trainer = Trainer(config, data, model, optimiser, torch.device("cpu"))
    for epoch in (1, 2, 3):
        began, position, order = time.perf_counter(), Position(epoch, 0), trainer.order(epoch)
        while position.step < trainer.steps:
            position = trainer.step(position, order)
        held_out_errors(trainer)
        embed_all(trainer)
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    """Measure, predict, extrapolate."""
    here, sample = rate(), seconds_per_sample()
    print(
        f"{torch.get_num_threads()} threads: {here / 1e9:.0f} GFLOP/s in the layer alone, "
        f"{1e9 * sample:.1f} ns for CTF, dose and weights of an image sample"
    )
    for size in (
        Size(96, 21, 32),
        Size(96, 21, 32, points=4096),
        Size(64, 41, 64),
        Size(32, 41, 128),
    ):
        found, wanted = measured(size), size.flop() / here + size.touched * sample
        print(
            f"box {size.box}, {size.tilts} tilts, {size.points} samples: "
            f"{1e3 * found / size.particles:.2f} ms a particle and epoch, formula "
            f"{1e3 * wanted / size.particles:.2f} ms, ratio {found / wanted:.2f}",
            flush=True,
        )
    for size in (
        Size(10_000, 41, 64),
        Size(22_291, 41, 96),
        Size(100_000, 41, 96),
        Size(1_000_000, 41, 128),
    ):
        print(
            f"{size.particles:,} × {size.tilts}, box {size.box}: "
            f"file {size.file_bytes / 1e9:.0f} GB, tables {size.table_bytes / 1e9:.1f} GB, "
            f"latents {size.latent_bytes / 1e6:.0f} MB, "
            f"an epoch {size.flop() / 1e12:.1f} TFLOP and {size.touched / 1e9:.1f} G samples: "
            f"{(size.flop() / here + size.touched * sample) / 60:.1f} min here; "
            f"three passes over the file at 2 GB/s {3 * size.file_bytes / 2e9 / 60:.1f} min"
        )


if __name__ == "__main__":
    main()
