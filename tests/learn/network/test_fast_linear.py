"""Faster ways to the same numbers: layers as convolutions, what is kept between maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from napari_tomodrgn.config import ModelConfig
from napari_tomodrgn.files import all_or_none
from napari_tomodrgn.learn.decoding import volume_decoder
from napari_tomodrgn.learn.decoding.volume_decoder import VolumeDecoder
from napari_tomodrgn.learn.linear.decoder import LinearDecoder
from napari_tomodrgn.learn.network.fast_linear import (
    CONVOLUTION,
    PRODUCT,
    ProductTable,
    as_pixels,
    as_rows,
    dense,
    residual,
    shape_class,
    time_products,
)
from napari_tomodrgn.learn.network.model import Decoder, Vae

BOX, LATENT = 16, 3


def always(choice: str) -> ProductTable:
    """A table for which one product is always the faster."""
    seconds = (1.0, 2.0) if choice == PRODUCT else (2.0, 1.0)
    return ProductTable(timer=lambda *_: seconds)


def test_the_faster_product_is_taken_and_kept_for_the_machine(tmp_path: Path) -> None:
    """Timed once for a shape class; other timings change nothing later, here or in a new table."""
    asked: list[tuple[int, int, bool]] = []

    def timer(rows: int, width: int, backward: bool) -> tuple[float, float]:
        asked.append((rows, width, backward))
        return (2.0, 1.0) if backward else (1.0, 2.0)

    cpu, file = torch.device("cpu"), tmp_path / "products.json"
    first = ProductTable(file=file, timer=timer)
    chosen = {shape_class(64, width): CONVOLUTION for width in (32, 64)}
    with torch.no_grad():
        chosen |= {shape_class(64, width): PRODUCT for width in (32, 64)}
    assert first.measure({32, 64}, cpu) == chosen and len(chosen) == 4
    assert asked == [(64, width, backward) for width in (32, 64) for backward in (True, False)]
    with torch.no_grad():
        assert not first.uses_convolution(4000, 64, cpu), "forward alone has a choice of its own"
    later = ProductTable(file=file, timer=lambda *_: (1.0, 2.0))
    assert later.uses_convolution(4000, 64, cpu) and not later.uses_convolution(63, 64, cpu)
    assert not later.uses_convolution(64, 128, cpu), "a new class is timed anew"
    of_run = ProductTable({shape_class(64, 32): PRODUCT}, file=file)
    assert not of_run.uses_convolution(100, 32, cpu), "what a run was trained with comes first"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not later.uses_convolution(4000, 64, cpu)
    assert not later.uses_convolution(4000, 64, torch.device("cuda"))


def test_the_machines_table_is_no_file_of_an_export(tmp_path: Path) -> None:
    """It is there from the last run, where an export that may replace nothing times another."""
    cpu, file = torch.device("cpu"), tmp_path / "products.json"
    ProductTable(file=file, timer=lambda *_: (1.0, 2.0)).uses_convolution(100, 64, cpu)
    before = file.read_text(encoding="utf-8")
    with all_or_none(overwrite=False):
        ProductTable(file=file, timer=lambda *_: (1.0, 2.0)).uses_convolution(100, 128, cpu)
    assert file.read_text(encoding="utf-8") != before


def test_both_products_can_be_timed_where_nothing_is_differentiated() -> None:
    with torch.inference_mode():
        for backward in (True, False):
            assert all(seconds > 0 for seconds in time_products(2048, 64, backward))


@pytest.mark.parametrize("rows", [1, 64, 77, 160])
def test_a_layer_over_pixels_is_the_layer_over_rows(rows: int) -> None:
    """Values and all gradients, to the rounding of what is added up."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = nn.Linear(24, 24)
    found = []
    for choice in (CONVOLUTION, PRODUCT):
        products = always(choice)
        x = torch.randn((rows, 24), generator=torch.Generator().manual_seed(0)).requires_grad_()
        shaped = as_pixels(x, 24, products)
        assert shaped.ndim == (4 if choice == CONVOLUTION and rows >= 64 else 2)
        values = as_rows(residual(dense(shaped, layer.weight, layer.bias), *layer.parameters()))
        gradients = torch.autograd.grad(values.sin().sum(), [x, *layer.parameters()])
        found.append([values.detach(), *gradients])
    for one, other in zip(*found, strict=True):
        assert float((one - other).norm()) < 100 * torch.finfo(one.dtype).eps * float(one.norm())
    assert torch.equal(as_rows(as_pixels(x.detach(), 24, always(CONVOLUTION))), x.detach())


def started_decoder() -> Decoder:
    """With everything that a decoder adds up: network, mean map, two components."""
    config = ModelConfig(latent_dim=LATENT, decoder_dim=32)
    decoder = Vae(config, BOX, n_samples=8, n_tilts=1, seed=2).decoder
    generator = torch.Generator().manual_seed(1)
    assert decoder.mean is not None
    decoder.mean.fill(torch.randn((BOX,) * 3, generator=generator))
    decoder.start_from(LinearDecoder(torch.randn((3, 12, 12, 12), generator=generator), 5.0, BOX))
    return decoder


@pytest.mark.parametrize("particles", [2, 40])
def test_points_of_many_particles_are_those_of_each_alone(particles: int) -> None:
    """However their latents are spread over the points, with gradients of the latents."""
    decoder, generator = started_decoder(), torch.Generator().manual_seed(3)
    k = torch.rand((301, 3), generator=generator) - 0.5
    z = torch.randn((particles, LATENT), generator=generator).requires_grad_()
    particle_index = torch.randint(0, particles, (len(k),), generator=generator)
    together = decoder(k, z, particle_index)
    alone = torch.cat(
        [
            decoder(k[i : i + 1], z[p : p + 1], particle_index[:1] * 0)
            for i, p in enumerate(particle_index)
        ]
    )
    assert torch.allclose(together, alone, rtol=1e-4, atol=1e-3)
    one, other = (torch.autograd.grad(f.abs().sum(), z)[0] for f in (together, alone))
    assert torch.allclose(one, other, rtol=1e-3, atol=1e-2)


def test_what_is_prepared_serves_any_latent_and_stays() -> None:
    decoder, generator = started_decoder(), torch.Generator().manual_seed(4)
    k = torch.rand((100, 3), generator=generator) - 0.5
    particle_index = torch.zeros(100, dtype=torch.int64)
    with torch.no_grad():
        prepared = decoder.prepare(k)
        first = prepared.first.clone()
        for z in torch.randn((3, 1, LATENT), generator=generator):
            assert torch.equal(
                decoder.evaluate(prepared, z, particle_index), decoder(k, z, particle_index)
            )
    assert torch.equal(prepared.first, first)


def test_what_is_kept_between_maps_changes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept, kept in part and not at all; a caller may stop after every 4,096 frequencies."""
    latents = np.random.default_rng(0).normal(size=(3, LATENT))
    maps = []
    for most in (1 << 30, 1, 0):
        monkeypatch.setattr(volume_decoder, "_KEPT_BYTES", most)
        monkeypatch.setitem(volume_decoder._POINTS_AT_A_TIME, "cpu", 256)
        decoder = VolumeDecoder(
            started_decoder(), box_size_px=BOX, pixel_size_angstrom=4.0, latent_dim=LATENT
        )
        maps.append([decoder.decode(z, box).data for z in latents for box in (BOX, 8, 12)])
        n_samples = len(decoder._grid(BOX).places)
        assert len(list(decoder.decode_steps(latents[0]))) == -(-n_samples // 256) + 1
        assert len(decoder._grids) <= 2
    for several in zip(*maps, strict=True):
        assert all(np.array_equal(several[0], one) for one in several)


def test_half_precision_is_for_layers_not_for_angles() -> None:
    """Under autocast the network's share is off by the rounding of layers, 0.7 %."""
    config = ModelConfig(latent_dim=LATENT, decoder_dim=64, mean_map=False)
    decoder, generator = (
        Vae(config, 64, n_samples=8, n_tilts=1).decoder,
        torch.Generator().manual_seed(5),
    )
    k = torch.rand((200, 3), generator=generator) - 0.5
    z, particle_index = torch.randn((3, LATENT), generator=generator), torch.arange(200) % 3
    with torch.no_grad():
        whole = decoder(k, z, particle_index)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = decoder(k, z, particle_index)
    assert half.dtype == torch.complex64
    error = (half - whole).abs().square().mean().sqrt() / whole.std()
    assert float(error) < 0.012  # with angles in bfloat16: 0.025
