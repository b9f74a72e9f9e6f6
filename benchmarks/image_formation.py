"""Which forward model do the images prefer? The dose in the model or in the weights; the scale.

Run with ``python benchmarks/image_formation.py SOURCE [SOURCE ...]``, star files. Each set is
reconstructed in halves under each model, and every half map foresees the images of the other half
(`analysis.preflight.cross_validation`), all with the same noise: white after division by what the
export multiplied with, its power that of the images of each tilt. Printed are the gain in
log-likelihood per particle over "there is nothing" (one factor a shell, so that no model gains by
its scale alone), its paired z against the model in use, and the resolution of the half maps.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from napari_tomodrgn.analysis.preflight import cross_validation
from napari_tomodrgn.analysis.preflight.cross_validation import half_set_agreement, paired_z
from napari_tomodrgn.config import DataConfig
from napari_tomodrgn.data import tilt_data
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.learn.reconstruction.contrast import run_to_end
from napari_tomodrgn.learn.reconstruction.subsample import read_sample
from napari_tomodrgn.physics.exposure import tilt_weights
from napari_tomodrgn.physics.image_formation import ImageFormation

Change = Callable[[ImageFormation], ImageFormation]


def _only_dose(model: ImageFormation) -> ImageFormation:
    """Nothing of the tilt in the signal."""
    return replace(model, decay=model.decay / model.decay[:, :1])


def _no_decay(model: ImageFormation) -> ImageFormation:
    return replace(model, decay=torch.ones_like(model.scale))


def _unscaled(model: ImageFormation) -> ImageFormation:
    """The scale factor not in what multiplied images were multiplied with."""
    return replace(model, rest=model.rest / model.scale, scale=torch.ones_like(model.scale))


def _as_it_is(model: ImageFormation) -> ImageFormation:
    return model


# Name: the model, and what weighs in its maps beside: d of the dose, cosine of the tilt.
MODELS: dict[str, tuple[Change, str]] = {
    "T = h c d s (in use)": (_as_it_is, ""),
    "T = h c d s, weight cos": (_as_it_is, "cos"),
    "T = h c d, weight cos": (_only_dose, "cos"),
    "T = h c d, no weight": (_only_dose, ""),
    "T = h c, weight d cos": (_no_decay, "d cos"),
    "T = h c, no weight": (_no_decay, ""),
    "h without s: T = h c d, weight cos": (lambda m: _only_dose(_unscaled(m)), "cos"),
    "h without s: T = h c, weight d cos": (lambda m: _no_decay(_unscaled(m)), "d cos"),
}


@contextmanager
def modelled(change: Change, weight: str) -> Iterator[None]:
    """TiltData with another forward model and other weights."""
    formation, weights = tilt_data.TiltData.formation, tilt_data.TiltData.weights

    def changed(data: tilt_data.TiltData, rows: torch.Tensor, *more: object, **named: object):
        return change(formation(data, rows, *more, **named))

    def weighted(data: tilt_data.TiltData, rows: torch.Tensor, device: str = "cpu"):
        found = weights(data, rows, device)
        if "d" in weight:
            found = found * _only_dose(formation(data, rows, device=device)).decay
        if "cos" in weight:
            found = found * tilt_weights(data.parameters.stage_tilt_deg[rows])[:, None]
        return found

    tilt_data.TiltData.formation, tilt_data.TiltData.weights = changed, weighted
    try:
        yield
    finally:
        tilt_data.TiltData.formation, tilt_data.TiltData.weights = formation, weights


def noise_of_tilts(data: tilt_data.TiltData) -> torch.Tensor:
    """Mean power of the whitened samples of each tilt, nearly all of it noise."""
    with modelled(_as_it_is, ""):
        batch = data.batch(torch.arange(data.particle_count))
    power = (batch.precision * batch.samples.abs().square()).mean(dim=1)
    count = torch.bincount(batch.tilt_index)
    return torch.bincount(batch.tilt_index, weights=power) / count.clamp(min=1)


def foreseen(
    sample: object, change: Change, weight: str
) -> tuple[cross_validation.FloatArray, float]:
    """Gain of each particle when it is judged by one noise, and resolution of the half maps."""
    products = cross_validation._products

    def judged(data, transform, rows):
        """The images' own noise and tilt weights, whatever the maps were made with."""
        plain = tilt_data.TiltData(data.particles, data.images, data.lattice, data._weight)
        plain.mean_weight = plain.mean_power = 1.0
        batch = plain.batch
        noise = noise_of_tilts(plain)
        model = data.batch

        def both(some: torch.Tensor):
            with modelled(_as_it_is, ""):
                mine = batch(some)
            weights = mine.weights.gt(0) / noise[mine.tilt_index][:, None]
            return replace(mine, transfer=model(some).transfer, weights=weights)

        data.batch = both
        return products(data, transform, rows)

    with modelled(change, weight):
        cross_validation._products = judged
        try:
            found = half_set_agreement(sample)
        finally:
            cross_validation._products = products
    return found.gain(), found.halves.fsc.resolution_angstrom(0.143)


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    for source in sys.argv[1:]:
        sample = run_to_end(read_sample(read_particles(source), DataConfig()))
        print(f"{source}: {len(sample.particles)} particles")
        reference = None
        for name, (change, weight) in MODELS.items():
            gain, resolution = foreseen(sample, change, weight)
            reference = gain if reference is None else reference
            z = paired_z(gain - reference)
            ratio = gain.mean() / reference.mean() - 1
            print(f"  {gain.mean():9.2f} ({ratio:+.1%}, z {z:+5.1f})  {resolution:5.1f} Å  {name}")


if __name__ == "__main__":
    main()
