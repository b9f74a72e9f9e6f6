"""Ways to latents, and what a run tells of them: in figures, and in a sentence each."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from napari_tomodrgn.learn.calibrate import Calibration
from napari_tomodrgn.learn.decode import FourierModel
from napari_tomodrgn.learn.held_out import Watch, difference
from napari_tomodrgn.learn.inference import Inference

# Standard errors beyond which particles are said to differ: once in 700 sets where they do not.
_SURE = 3.0


@dataclass(frozen=True, eq=False)
class Way:
    """A way to latents with its decoder, and what was found of it."""

    inference: Inference
    decoder: FourierModel
    calibration: Calibration | None
    latents: Tensor  # (particle, latent) from the images learnt from; NaN where not compared
    held_out: Tensor  # (particle,)
    alike: Tensor  # the same, if all particles had the map of the prior's mean
    factor: float = 1.0  # of latents, drawn to the prior's mean
    slope: Tensor | None = None  # (particle,) gain as latents leave the prior's mean, any scale


def told(watch: Watch, ways: dict[str, Way]) -> dict[str, object]:
    """What was measured, as plain numbers."""
    best = best_of(ways)
    return {
        "epoch": watch.chosen,
        "best_epoch": watch.best,
        "epochs": watch.seen,
        "latents": best,
        "shrinkage": ways[best].factor,
        "held_out": {name: float(way.held_out.nanmean()) for name, way in ways.items()},
        "better_than_linear": (
            dict(zip(("mean", "standard_error"), _gain(ways), strict=True))
            if "linear" in ways
            else None
        ),
        "better_than_one_map": dict(
            zip(("mean", "standard_error"), _told_apart(ways), strict=True)
        ),
        "told_apart_standard_errors": _standard_errors(ways),
        "calibration": {
            name: asdict(way.calibration) for name, way in ways.items() if way.calibration
        },
    }


def best_of(ways: dict[str, Way]) -> str:
    return "refined" if "refined" in ways else "encoder"


def _gain(ways: dict[str, Way]) -> tuple[float, float]:
    """By how much held-out images are explained better than by the linear engine, and its error."""
    return difference(ways["linear"].held_out, ways[best_of(ways)].held_out)


def _told_apart(ways: dict[str, Way]) -> tuple[float, float]:
    """By how much a map of each particle's own explains held-out images better than one for all."""
    way = ways[best_of(ways)]
    return difference(way.alike, way.held_out)


def _standard_errors(ways: dict[str, Way]) -> float:
    """How surely particles differ: the slope of the gain where all are alike, over its error.

    The score test: little differences tell most surely whether held-out images move along with
    them, as what noise adds to maps that differ counts squared. Where particles are alike it is a
    standard normal number.
    """
    slope = ways[best_of(ways)].slope
    if slope is None:
        return float("nan")
    gain, error = difference(slope, torch.zeros_like(slope))
    return gain / error if error else float("nan")


def verdict(ways: dict[str, Way]) -> str:
    """Whether particles differ at all, as far as images say that were kept from training."""
    surely, (gain, error) = _standard_errors(ways), _told_apart(ways)
    figures = f"{surely:.1f} standard errors, {_SURE:g} asked; gain {gain:+.4f} ± {error:.4f}"
    if surely > _SURE:
        return (
            "Held-out images tell the particles apart: a map of each one's own explains them "
            f"better than one map for all ({figures})."
        )
    if surely == surely:
        return (
            "Held-out images do not tell the particles apart: one map for all explains them as "
            f"well as a map of each one's own ({figures}). Trust a difference only if a "
            "reconstruction of a selection shows it."
        )
    return "No images were held out, so nothing says whether the particles really differ."


def sentences(ways: dict[str, Way]) -> list[str]:
    """What else a user should know."""
    best, said = best_of(ways), []
    if ways[best].factor < 1:
        said.append(
            f"Latents are drawn to the middle ({ways[best].factor:g} times as far from it): "
            "held-out images do not ask for larger differences."
        )
    if "linear" in ways:
        gain, error = _gain(ways)
        here, linear = (float(ways[name].held_out.nanmean()) for name in (best, "linear"))
        figures = f"{here:.4f} against {linear:.4f}, difference {gain:+.4f} ± {error:.4f}"
        if gain < -2 * error:
            said.append(
                f"Held-out images are explained worse than by the linear engine ({figures}): "
                "look at its latents (latents/linear.parquet), or train longer."
            )
        elif gain == gain:
            said.append(f"Held-out images: no worse than by the linear engine ({figures}).")
    calibration = ways[best].calibration
    if calibration is not None:
        said.append(
            f"Latents from halves of the tilts differ by {calibration.ratio:.2f} "
            f"± {calibration.standard_error:.2f} times what their widths say "
            "(mean square; 1 is right)."
        )
    return said
