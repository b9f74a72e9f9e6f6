"""Decoded maps with their differences filtered shell by shell, and without: what is gained.

Run::

    python benchmarks/shells.py [CASE …] [--seeds 1] [--out shells.csv] [--real FILE.star]

One row a case, seed, method and filter, appended to the table as soon as it is there; rows that are
in it already are not computed again. Filters: ``none``; ``one factor`` for all shells, of those
that were tried before there was a shell filter, by the same rule; ``best`` falling; ``chosen``, the
smallest that is as good as the best within one standard error, which runs have.

``gain`` is how much better held-out images are explained than by one map for all, ``over_none``
than by maps without filter, each with its error over particles (×1000): a filter is chosen on half
of the particles and judged on the others, both ways. ``truth`` is the FSC of single decoded maps
with the true map of their state, shell by shell, mean over 48 particles; ``amplitude`` is that of
the decoded difference of two states along the true one (1: as it is), by shells.

``--real``: particles without truth. The linear method learns from one half of the tilts, both ways;
held-out images are those of the other half, and single decoded maps are compared with the map of
their k-means group, made of the other half.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from linear import SETS, SMALL
from quality import latents_of, simulated, trained, truth_of

from napari_tomodrgn.analysis.evidence.images import read_run_images, with_images
from napari_tomodrgn.analysis.evidence.maps import cross_fitted_map
from napari_tomodrgn.analysis.evidence.membership import tilt_half_masks
from napari_tomodrgn.analysis.latents.clusters import k_means
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.data.volume import read_volume
from napari_tomodrgn.learn.decoding.volume_decoder import FourierModel, VolumeDecoder
from napari_tomodrgn.learn.inference.held_out import mean_difference
from napari_tomodrgn.learn.inference.methods import (
    Inference,
    LinearInference,
    RefinedInference,
    infer_in_chunks,
)
from napari_tomodrgn.learn.inference.shell_sums import ShellSums, choose_filter, falling
from napari_tomodrgn.learn.inference.shrinkage import sum_steps
from napari_tomodrgn.learn.linear.decoder import LinearDecoder, read_linear_model
from napari_tomodrgn.learn.linear.engine import LinearEngine
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.run.epoch_files import FIRST_LOOK
from napari_tomodrgn.learn.runtime.context import RunContext
from napari_tomodrgn.learn.runtime.steps import run_to_end
from napari_tomodrgn.learn.training.embed import guess_latents
from napari_tomodrgn.learn.training.read_images import decide_sign_of_images, read_images
from napari_tomodrgn.physics.shells import shell_correlation, shell_indices

MINORITY = "5 % without 5S RNP, 1,000 particles"
CASES: dict[str, dict[str, object]] = {
    **{name: settings for name, settings in SETS.items() if "structures" in settings},
    "one structure": {**SMALL, "structures": ("60S",)},
    MINORITY: {**SMALL, "particles": 1900, "structures": ("60S", "60S_without_5S_RNP")},
}
REAL = "real, tilt halves"
FACTORS = (1.0, 0.85, 0.7, 0.5, 0.35, 0.25, 0.15, 0.1)
SINGLE_MAPS = 48
# Shells that amplitudes are told of together.
BANDS = ((1, 4), (5, 8), (9, 12))


def one_factor(sums: ShellSums) -> torch.Tensor:
    """One factor for all shells: the smallest as good as the best within one standard error."""
    tried = [torch.full((sums.power.shape[1],), factor).double() for factor in FACTORS]
    best = min(tried, key=lambda factors: float(sums.changes(factors).nanmean()))
    for factors in reversed(tried):
        worse, error = mean_difference(sums.changes(factors), sums.changes(best))
        if worse <= error:
            return factors
    return best


def filters(sums: ShellSums) -> dict[str, torch.Tensor]:
    """By name, ``(shell,)``."""
    slopes, _ = sums.slopes()
    return {
        "none": torch.ones(len(slopes), dtype=torch.float64),
        "one factor": one_factor(sums),
        "best": falling(slopes, sums.power.nanmean(0)),
        "smallest": choose_filter(sums, sure=False),
        "chosen": choose_filter(sums),
    }


def part(sums: ShellSums, rows: torch.Tensor) -> ShellSums:
    """Sums of some particles ``(row,)``."""
    return ShellSums(sums.alike[rows], sums.common[rows], sums.power[rows])


def gains(sums: ShellSums) -> dict[str, dict[str, float]]:
    """Of each filter, chosen on half of the particles and judged on the other, both ways."""
    order = torch.randperm(len(sums.alike), generator=torch.Generator().manual_seed(0))
    changes: dict[str, list[torch.Tensor]] = {}
    for mine, other in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        for name, factors in filters(part(sums, mine)).items():
            changes.setdefault(name, []).append(part(sums, other).changes(factors))
    whole = {name: torch.cat(halves) for name, halves in changes.items()}
    found = {}
    for name, change in whole.items():
        gain, error = mean_difference(change * 0, change)
        over, its_error = mean_difference(whole["none"], change)
        told = {"gain": gain, "gain_error": error, "over_none": over, "over_none_error": its_error}
        found[name] = {key: 1000 * value for key, value in told.items()}
    return found


def images_of(run: Run) -> TiltData:
    """The images of a run, with those held out that the run held out."""
    data = run_to_end(read_run_images(run))
    data.hold_out(run.config.data.held_out_fraction, run.config.seed)
    data.mean_power = run.info.mean_power or data.mean_power
    return data


def model_of(run: Run, data: TiltData) -> tuple[FourierModel, Inference]:
    """What decodes, and what latents are from, as the run ended."""
    if run.config.method == "linear" or run.last_epoch() == FIRST_LOOK:
        file = run.weights_file(run.last_epoch())
        return LinearDecoder.read(file), LinearInference(read_linear_model(file), data, run.config)
    model, refinement = run.model(), run.refinement()
    guess = guess_latents(run, model.encoder, data)
    if refinement is None:
        return model.decoder, guess
    return model.decoder, RefinedInference(guess, model.decoder, refinement, run.config)


def correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """FSC of two maps, by shell."""
    pair = (torch.from_numpy(np.asarray(volume, np.float64)) for volume in (one, other))
    return shell_correlation(*pair).numpy()


def amplitudes(found: np.ndarray, true: np.ndarray, scale: np.ndarray) -> dict[str, float]:
    """How large a difference is along the true one, by bands; ``scale``: of the mean, by shell."""
    shells = shell_indices(len(true)).numpy()
    ours, theirs = np.fft.rfftn(found), np.fft.rfftn(true)
    told = {}
    for low, high in BANDS:
        inside = (shells >= low) & (shells <= high)
        expected = theirs[inside] * scale[shells[inside]]
        along = (ours[inside] * expected.conj()).real.sum() / (np.abs(expected) ** 2).sum()
        told[f"amplitude_{low}_{high}"] = float(along)
    return told


def against_truth(data: Path, run: Run, decoder: VolumeDecoder) -> dict[str, float]:
    """FSC of single maps with the truth; amplitude of the difference of two states."""
    truth, latents = truth_of(data, run), latents_of(run)
    names = truth["state_name"].to_numpy()
    kinds = sorted(set(names))
    maps = {name: read_volume(data / "truth_maps" / f"{name}.mrc").data for name in kinds}
    found: dict[str, float] = {}
    for kind in kinds:
        rows = np.flatnonzero(names == kind)[: SINGLE_MAPS // len(kinds)]
        fsc = [correlations(decoder.decode(latents[row]).data, maps[kind]) for row in rows]
        suffix = "" if kind == kinds[0] else "_second"
        found |= {f"fsc{suffix}_{n}": float(v) for n, v in enumerate(np.mean(fsc, axis=0)) if n}
    if len(kinds) < 2:
        return found
    ends = [decoder.decode(latents[names == kind].mean(0)).data for kind in kinds]
    # Maps are in other units, and shells damped: as the mean map, so its difference.
    ours, theirs = (np.fft.rfftn(np.mean(both, axis=0)) for both in (ends, list(maps.values())))
    shells = shell_indices(len(ends[0])).numpy()
    cross, power = (
        np.bincount(shells.ravel(), values.ravel())
        for values in ((ours * theirs.conj()).real, np.abs(theirs) ** 2)
    )
    true = maps[kinds[1]] - maps[kinds[0]]
    return found | amplitudes(ends[1] - ends[0], true, cross / np.maximum(power, 1e-30))


def with_a_minority(data: Path) -> list[str]:
    """Names of all particles of the first state, and so many of the second that they are 5 %."""
    truth = pd.read_csv(data / "truth.csv")
    first, second = (truth["particle_id"][truth["state"] == state].tolist() for state in (0, 1))
    return [*first, *second[: round(len(first) / 19)]]


def measure(name: str, seed: int, method: str) -> Iterator[dict[str, object]]:
    """All filters of one simulated set and run."""
    with tempfile.TemporaryDirectory() as folder:
        data = simulated(Path(folder), CASES[name], seed)
        keep = with_a_minority(data) if name == MINORITY else None
        run, _ = trained(data, Path(folder) / method, seed, method, keep)
        images = images_of(run)
        decoder, inference = model_of(run, images)
        rows = torch.arange(images.particle_count)
        latents = run_to_end(infer_in_chunks(inference, rows, images.training)).mu.float()
        _, sums = run_to_end(sum_steps(decoder, latents, images, run.config))
        judged = gains(sums)
        for which, factors in filters(sums).items():
            info = run.info.model_copy(update={"shell_filter": factors.tolist()})
            maps = against_truth(data, run, replace(run, info=info).decoder())
            yield {"filter": which, **judged[which], **shown(factors), **maps}


def shown(factors: torch.Tensor) -> dict[str, float]:
    """A filter as columns."""
    return {f"s_{shell}": float(factor) for shell, factor in enumerate(factors) if shell}


def measure_real(star: Path) -> Iterator[dict[str, object]]:
    """All filters of particles without truth, learnt from one half of the tilts."""
    config = RunConfig.model_validate({"method": "linear"})
    particles = read_particles(star)
    with tempfile.TemporaryDirectory() as folder:
        sign = run_to_end(decide_sign_of_images(particles, config.data, RunContext()))
        data = run_to_end(read_images(particles, config, Path(folder), sign, RunContext()))
    halves = tilt_half_masks(data)
    for way, images in enumerate(halves):
        learnt = with_images(data, images)
        *_, fit = LinearEngine.of(learnt, config, RunContext()).fits()
        model = LinearDecoder.from_model(fit.model, data.lattice.box_size_px)
        latents = fit.training_mu.float()
        _, sums = run_to_end(sum_steps(model, latents, learnt, config))
        judged, labels = gains(sums), k_means(latents.numpy(), 2)
        groups = [labels == label for label in (0, 1)]
        maps = [group_map(data, group, halves, 1 - way) for group in groups]
        for which, factors in filters(sums).items():
            decoder = VolumeDecoder(
                model,
                box_size_px=data.lattice.box_size_px,
                pixel_size_angstrom=particles.optics.pixel_size_angstrom,
                latent_dim=model.components,
            ).with_shell_filter(factors.tolist())
            pairs = zip(latents.numpy(), labels, strict=True)
            fsc = [correlations(decoder.decode(z).data, maps[label]) for z, label in pairs]
            told = {f"fsc_{n}": float(v) for n, v in enumerate(np.mean(fsc, axis=0)) if n}
            about = {"set": REAL, "seed": way, "method": "linear", "filter": which}
            yield {**about, **judged[which], **shown(factors), **told}


def group_map(
    data: TiltData, group: np.ndarray, halves: tuple[torch.Tensor, torch.Tensor], judge: int
) -> np.ndarray:
    """Map of a group from one half of the tilts, the mean of its half maps: no filter."""
    members = np.zeros((2, len(group)), dtype=bool)
    members[judge] = group
    found = run_to_end(cross_fitted_map(data, members, halves))
    return (found.half1.data + found.half2.data) / 2


def known(out: Path) -> list[dict[str, str]]:
    """Rows that are in the table."""
    return list(csv.DictReader(out.open())) if out.exists() else []


def append(out: Path, rows: list[dict[str, object]]) -> None:
    """Add rows to the table, which is written anew: cases have other columns."""
    table = [*known(out), *rows]
    columns = list(dict.fromkeys(column for row in table for column in row))
    with out.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(table)
    for row in rows:
        words = (f"{k} {v:.3f}" if isinstance(v, float) else f"{v}" for k, v in row.items())
        print("  ".join(words), flush=True)


def main() -> None:
    """Measure what is not in the table yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--methods", nargs="+", default=["linear", "vae"])
    parser.add_argument("--out", type=Path, default=Path("shells.csv"))
    parser.add_argument("--real", type=Path, help="particles without truth")
    options = parser.parse_args()
    done = {(row["set"], row["seed"], row["method"]) for row in known(options.out)}
    for name in options.cases:
        for seed in range(options.seeds):
            for method in options.methods:
                if (name, f"{seed}", method) not in done:
                    about = {"set": name, "seed": seed, "method": method}
                    append(options.out, [about | row for row in measure(name, seed, method)])
    if options.real and not any(name == REAL for name, *_ in done):
        append(options.out, list(measure_real(options.real)))


if __name__ == "__main__":
    main()
