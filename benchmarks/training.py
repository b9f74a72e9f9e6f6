"""Time of training against the bare matrix products that it cannot do without, and where it goes.

Run::

    python benchmarks/training.py [--particles 64] [--tilts 21] [--box 32] [--threads N]

The floor are the products of the same shapes in the same process: for each linear layer of encoder
and decoder one forward and two backward products (one, where nobody asks for the gradient of the
input), on as many rows as a step evaluates; rows of weight 0 are not. Twice: as ``x @ W`` does
them, and as the fastest product found on this machine does (`learn.network.fast_linear`). An epoch
is its steps, the held-out loss and the latents; its floor is that of the steps alone. The forecast
is what the window says before training; the linear start is in neither. The table says what a step
costs.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.learn.inference.methods import encode
from napari_tomodrgn.learn.network.fast_linear import (
    ProductTable,
    as_pixels,
    default_products,
    dense,
    shape_class,
    time_products,
)
from napari_tomodrgn.learn.network.loss import (
    choose_points,
    point_frequencies,
    squared_errors,
    uniforms,
)
from napari_tomodrgn.learn.reconstruction.backprojection import OVERSAMPLING
from napari_tomodrgn.learn.run.checkpoint import Position
from napari_tomodrgn.learn.runtime.device import pick_device
from napari_tomodrgn.learn.training.forecast import forecast
from napari_tomodrgn.learn.training.train import prepare_trainer
from napari_tomodrgn.learn.training.trainer import Trainer
from napari_tomodrgn.learn.training.whole_set import embed_all, held_out_errors
from napari_tomodrgn.physics.fourier import grid_corners
from napari_tomodrgn.physics.lattice import into_half_space
from napari_tomodrgn.synthetic import SimulationConfig, simulate

_REPEATS = 40
_LONGEST_S = 2.5
Product = tuple[int, nn.Linear, bool]


def median_seconds(work: Callable[[], object], device: torch.device) -> float:
    """Median wall time of a call, of up to 40 in 2.5 s; the first third only warms up."""
    times: list[float] = []
    while len(times) < 5 or (len(times) < _REPEATS and sum(times) < _LONGEST_S):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return statistics.median(times[len(times) // 3 :])


def products_of(trainer: Trainer, images: int, particles: int, points: int) -> list[Product]:
    """Rows, layer, and whether its input has a gradient, of a step."""
    model, most = trainer.model, trainer.chunk_sizes.points
    pieces = [min(most, points - start) for start in range(0, points, most)]
    found = [(images, layer) for layer in _linear(model.encoder.image)]
    found += [(particles, layer) for layer in _linear(model.encoder.particle)]
    found += [(rows, layer) for rows in pieces for layer in _linear(model.decoder.network)]
    inputs = (model.encoder.image.first, model.decoder.network.first)
    return [(rows, layer, layer not in inputs) for rows, layer in found]


def _linear(module: nn.Module) -> list[nn.Linear]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]


def plain(products: list[Product], device: torch.device) -> Callable[[], object]:
    """x W and its gradients, as ``@`` computes them."""
    made = [(layer, *_operands(rows, layer, device), back) for rows, layer, back in products]

    def work() -> None:
        for layer, x, gradient, back in made:
            x @ layer.weight.T
            gradient.T @ x
            if back:
                gradient @ layer.weight

    return work


def fastest(products: list[Product], device: torch.device) -> Callable[[], object]:
    """The same by `fast_linear`, whose gradients autograd asks for, where that is faster."""
    made = []
    for rows, layer, back in products:
        x, gradient = _operands(rows, layer, device)
        pixels = (
            as_pixels(x, layer.out_features, default_products()) if layer.out_features > 2 else x
        )
        like = dense(pixels, layer.weight, None)
        shaped = (
            as_pixels(gradient, layer.out_features, default_products())
            if like.ndim == 4
            else gradient
        )
        made.append((layer.weight.detach().requires_grad_(), pixels, shaped, back))

    def work() -> None:
        for weight, pixels, gradient, back in made:
            inputs = [weight, pixels.requires_grad_(back)] if back else [weight]
            torch.autograd.grad(dense(pixels, weight, None), inputs, gradient)

    return work


def _operands(rows: int, layer: nn.Linear, device: torch.device) -> tuple[Tensor, Tensor]:
    x = torch.randn(rows, layer.in_features, device=device)
    return x, torch.randn(rows, layer.out_features, device=device)


def table_of(trainer: Trainer, position: Position) -> list[tuple[str, float]]:
    """Milliseconds of the parts of a step, each timed alone."""
    data, model, device = trainer.data, trainer.model, trainer.device
    rows = trainer.order(1)[: trainer.config.train.batch_size]
    batch = data.batch(rows, device)
    uniform = uniforms(len(rows), trainer.config.train.points_per_particle, torch.Generator())
    pieces = choose_points(batch, uniform).chunks(trainer.chunk_sizes.points)
    places = [point_frequencies(batch, piece, data.lattice.frequencies) for piece in pieces]
    decoder = model.decoder
    halves = [into_half_space(k)[0] for k in places]
    cells = [grid_corners(k * (OVERSAMPLING * decoder.box_size_px)) for k in halves]
    both = list(zip(halves, cells, strict=True))
    z = torch.zeros((len(rows), trainer.config.model.latent_dim), device=device)
    z.requires_grad_()

    def network() -> None:
        for piece, prepared in zip(pieces, [decoder.prepare(k) for k in places], strict=True):
            decoder.evaluate(prepared, z, piece.particle_index).abs().sum().backward()

    def compare() -> None:
        for piece in pieces:
            amplitudes = torch.zeros(len(piece.image), dtype=torch.complex64, device=device)
            squared_errors(batch, piece, amplitudes.requires_grad_()).sum().backward()

    known = decoder.components
    parts: list[tuple[str, Callable[[], object]]] = [
        ("batch: CTF, dose, weights", lambda: data.batch(rows, device)),
        ("encoder, there and back", lambda: encode(model.encoder, batch).mu.sum().backward()),
        ("choosing samples", lambda: choose_points(batch, uniform)),
        (
            "their frequencies",
            lambda: [point_frequencies(batch, p, data.lattice.frequencies) for p in pieces],
        ),
        ("positional encoding", lambda: [decoder._encoded(k) for k in halves]),
        ("mean map", lambda: [decoder.mean(at) for at in cells] if decoder.mean else None),
        ("components", lambda: [known.in_half_space(*one) for one in both] if known else None),
        ("decoder in all, there and back", network),
        ("loss, there and back", compare),
        ("optimiser", trainer.optimiser.step),
    ]
    return [(name, median_seconds(work, device) * 1e3) for name, work in parts]


def compare_products(device: torch.device) -> None:
    """Print both products, with and without backward, and the one that a new machine would take.

    Fails where the table takes the slower one of two that differ by a quarter.
    """
    for width, rows, backward in itertools.product((64, 128, 256, 512), (256, 2048), (True, False)):
        with torch.set_grad_enabled(backward):
            product, convolution = time_products(rows, width, backward)
            table = ProductTable(timer=lambda *_, both=(product, convolution): both)
            taken = "convolution" if table.uses_convolution(rows, width, device) else "product"
            print(
                f"{shape_class(rows, width)}: product {product * 1e3:.2f} ms, convolution "
                f"{convolution * 1e3:.2f} ms, taken: {taken}"
            )
            faster = min(product, convolution)
            seconds = convolution if taken == "convolution" else product
            if device.type == "cpu" and seconds > 1.25 * faster:
                raise SystemExit(f"the slower product was taken: {seconds / faster:.2f} times")


def measure(star: Path, folder: Path, train: dict[str, object], table: bool) -> None:
    """One setting: ratios of a step and of an epoch, and the forecast of it."""
    config = RunConfig.model_validate({"train": train})
    particles = read_particles(star)
    trainer, position = prepare_trainer(particles, config, folder)
    device, batch = trainer.device, trainer.config.train.batch_size
    order = trainer.order(1)
    rows = trainer.data.batch(order[:batch])
    uniform = uniforms(batch, trainer.config.train.points_per_particle, torch.Generator())
    points = len(choose_points(rows, uniform).image)
    products = products_of(trainer, int(rows.training.sum()), batch, points)
    took = median_seconds(lambda: trainer.step(position, order), device)
    floors = [median_seconds(work(products, device), device) for work in (plain, fastest)]
    flops = sum((4 + 2 * back) * n * one.weight.numel() for n, one, back in products)
    print(
        f"batch {batch}, {points:,} points: step {took * 1e3:.1f} ms, "
        f"{flops / took / 1e9:.0f} GFLOP/s; floor @ {floors[0] * 1e3:.1f} ms, "
        f"ratio {took / floors[0]:.2f}; fastest {floors[1] * 1e3:.1f} ms, "
        f"ratio {took / floors[1]:.2f}"
    )
    started = time.perf_counter()
    while position.step < trainer.steps:
        position = trainer.step(position, order)
    stepped = time.perf_counter()
    held_out_errors(trainer)
    held_out = time.perf_counter()
    embed_all(trainer)
    ended = time.perf_counter()
    epoch, floor = ended - started, floors[0] * trainer.steps
    expected = forecast(particles, config)["seconds_per_epoch"]
    print(
        f"  epoch of {len(particles)} particles {epoch:.2f} s (steps {stepped - started:.2f}, "
        f"held-out loss {held_out - stepped:.3f}, latents {ended - held_out:.3f}), "
        f"ratio {epoch / floor:.2f} and {epoch / floors[1] / trainer.steps:.2f}; "
        f"forecast {expected:.2f} s, ratio {expected / epoch:.2f}"
    )
    if table:
        for name, milliseconds in table_of(trainer, position):
            print(f"    {name:<32} {milliseconds:7.2f} ms")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--particles", type=int, default=64)
    parser.add_argument("--tilts", type=int, default=21)
    parser.add_argument("--box", type=int, default=32)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    compare_products(pick_device(options.device))
    with tempfile.TemporaryDirectory() as folder:
        settings = {"particles": options.particles, "tilts": options.tilts}
        list(simulate(Path(folder), SimulationConfig(box_size_px=options.box, **settings)))
        star = Path(folder) / "warptools" / "particles_optimisation_set.star"
        for points, batch in ((512, 4), (4096, 8), (0, 1)):
            train: dict[str, object] = {"points_per_particle": points, "batch_size": batch}
            train["device"] = options.device
            measure(star, Path(folder) / f"run-{points}", train, table=points != 0)


if __name__ == "__main__":
    main()
