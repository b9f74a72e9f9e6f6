"""Time to decode maps, by box, against the bare matrix products of the same size.

Run::

    python benchmarks/decoding.py [--threads N] [--device auto|cpu|cuda] [--boxes 32 64 96 128]

Default network with mean map and two linear components, random weights (the time does not depend
on them), float32. *First*: nothing is kept yet. *Then*: 100 maps of other latents one by one (20
where a map takes more than half a second); what depends on no latent is kept, up to 256 MB.
*Preview*: the first answer of a click, at box 32. *Step*: the longest time after which a caller
could not stop. The floor are all products of the network on all points of half the sphere within
Nyquist, by the fastest product at hand, 4,096 rows at a time.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from napari_tomodrgn.config import ModelConfig
from napari_tomodrgn.learn.decoding.preview_basis import fit_preview
from napari_tomodrgn.learn.decoding.volume_decoder import VolumeDecoder
from napari_tomodrgn.learn.linear.decoder import LinearDecoder
from napari_tomodrgn.learn.network.fast_linear import as_pixels, default_products, dense
from napari_tomodrgn.learn.network.model import Vae
from napari_tomodrgn.learn.runtime.device import pick_device

_MAPS = 100
_FEWER = 20
_SLOW_S = 0.5
_ROWS = 1 << 12


def decoder_of(box: int, device: torch.device) -> VolumeDecoder:
    """The default network for a box, started as training starts it."""
    model = (
        Vae(ModelConfig(), box, n_samples=8, n_tilts=1).eval().requires_grad_(requires_grad=False)
    )
    generator = torch.Generator().manual_seed(0)
    assert model.decoder.mean is not None
    model.decoder.mean.fill(torch.randn((box,) * 3, generator=generator))
    maps = torch.randn((3, 28, 28, 28), generator=generator)
    model.to(device)
    model.decoder.start_from(LinearDecoder(maps, 12.0, box).to(device))
    return VolumeDecoder(
        model.decoder, box_size_px=box, pixel_size_angstrom=4.0, latent_dim=8, device=device
    )


def seconds_of(work: object, device: torch.device) -> float:
    """Wall time of a call."""
    started = time.perf_counter()
    work()  # type: ignore[operator]
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def decoded(decoder: VolumeDecoder, box: int, device: torch.device) -> tuple[float, str]:
    """First map, then many: the median, and a line of all."""
    latents = np.random.default_rng(0).normal(size=(_MAPS, 8)).astype(np.float32)
    first = seconds_of(lambda: decoder.decode(latents[0], box), device)
    second = seconds_of(lambda: decoder.decode(latents[1], box), device)
    count = _FEWER if second > _SLOW_S else _MAPS
    times = [seconds_of(lambda z=z: decoder.decode(z, box), device) for z in latents[:count]]
    p95 = float(np.quantile(times, 0.95))
    median = float(np.median(times))
    line = (
        f"first {first * 1e3:.0f} ms, then median {median * 1e3:.0f}, p95 {p95 * 1e3:.0f}, "
        f"worst {max(times) * 1e3:.0f} of {count}"
    )
    return median, line


def longest_step(decoder: VolumeDecoder, device: torch.device) -> float:
    """Of `VolumeDecoder.progressive`, the longest pause between two places to stop."""
    steps, longest, going = decoder.progressive([0.3] * 8), 0.0, True
    while going:
        started = time.perf_counter()
        going = next(steps, "end") != "end"
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        longest = max(longest, time.perf_counter() - started)
    return longest


def floor_of(box: int, device: torch.device) -> float:
    """Seconds of the bare products."""
    n_samples = int(2 / 3 * torch.pi * (box / 2) ** 3)
    sizes = [(96 * box // 32, 256), (256, 256), (256, 256), (256, 256), (256, 2)]
    weights = [torch.randn((outputs, inputs), device=device) for inputs, outputs in sizes]
    rows = [torch.randn((_ROWS, inputs), device=device) for inputs, _ in sizes]

    def work() -> None:
        for start in range(0, n_samples, _ROWS):
            count = min(_ROWS, n_samples - start)
            for x, weight in zip(rows, weights, strict=True):
                dense(
                    as_pixels(x[:count], len(weight), default_products())
                    if len(weight) > 2
                    else x[:count],
                    weight,
                    None,
                )

    with torch.inference_mode():
        return min(seconds_of(work, device) for _ in range(4))


def previewed(decoder: VolumeDecoder, device: torch.device) -> str:
    """Fit a preview basis, then look at many places."""
    latents = np.random.default_rng(1).normal(size=(300, 8))
    started = time.perf_counter()
    *_, basis = fit_preview(decoder, latents)
    took = time.perf_counter() - started
    assert basis is not None
    times = [seconds_of(lambda z=z: basis.volume(z), device) for z in latents[:_MAPS]]
    return (
        f"preview basis of {len(basis.maps)} maps: fit {took:.2f} s, "
        f"a map p95 {np.quantile(times, 0.95) * 1e3:.2f} ms"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="auto")
    parser.add_argument("--boxes", type=int, nargs="+", default=[32, 64, 96, 128])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = pick_device(options.device)
    for box in options.boxes:
        decoder = decoder_of(box, device)
        if box > 32:
            print(f"box {box}, preview: {decoded(decoder, 32, device)[1]}")
        median, line = decoded(decoder, box, device)
        floor = floor_of(box, device)
        print(
            f"box {box}: {line}; floor {floor * 1e3:.0f}, ratio {median / floor:.2f}; "
            f"longest step {longest_step(decoder, device) * 1e3:.0f} ms; "
            f"{1 / median:.1f} maps/s on {device}",
            flush=True,
        )
        if box == 64:
            print(f"box {box}, {previewed(decoder, device)}", flush=True)


if __name__ == "__main__":
    main()
