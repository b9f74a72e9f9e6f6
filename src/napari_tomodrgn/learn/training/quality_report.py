"""Ways to latents, and what a run tells of them: in figures, and in a sentence each."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from napari_tomodrgn.learn.decoding.volume_decoder import FourierModel
from napari_tomodrgn.learn.inference.calibration import Calibration
from napari_tomodrgn.learn.inference.held_out import EarlyStopping, difference
from napari_tomodrgn.learn.inference.methods import Inference
from napari_tomodrgn.learn.inference.shrinkage import ShrinkageResult

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class LatentEstimate:
    """A way to latents with its decoder, and what was found of it."""

    inference: Inference
    decoder: FourierModel
    calibration: Calibration | None
    latents: Tensor  # (particle, latent) from the images learnt from; NaN where not compared
    held_out: Tensor  # (particle,)
    support: ShrinkageResult | None = None  # of the way that a run ends with


def told(watch: EarlyStopping, ways: dict[str, LatentEstimate]) -> dict[str, object]:
    """What was measured, as plain numbers."""
    best = best_of(ways)
    support = ways[best].support
    return {
        "epoch": watch.chosen,
        "best_epoch": watch.best,
        "epochs": watch.seen,
        "latents": best,
        "held_out": {name: float(way.held_out.nanmean()) for name, way in ways.items()},
        "better_than_linear": (
            dict(zip(("mean", "standard_error"), _gain(ways), strict=True))
            if "linear" in ways
            else None
        ),
        **(support.told() if support else {}),
        "calibration": {
            name: asdict(way.calibration) for name, way in ways.items() if way.calibration
        },
    }


def best_of(ways: dict[str, LatentEstimate]) -> str:
    return "refined" if "refined" in ways else "encoder"


def _gain(ways: dict[str, LatentEstimate]) -> tuple[float, float]:
    """By how much held-out images are explained better than by the linear engine, and its error."""
    return difference(ways["linear"].held_out, ways[best_of(ways)].held_out)


def sentences(ways: dict[str, LatentEstimate]) -> list[str]:
    """What else a user should know."""
    best, said = best_of(ways), []
    support = ways[best].support
    if support is not None and support.factor < 1:
        said.append(
            f"Latents are drawn to the middle ({support.factor:g} times as far from it): "
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
        elif error == error:  # a number: images were held out
            said.append(f"Held-out images: no worse than by the linear engine ({figures}).")
    calibration = ways[best].calibration
    if calibration is not None:
        said.append(
            f"Latents from halves of the tilts differ by {calibration.ratio:.2f} "
            f"± {calibration.standard_error:.2f} times what their widths say "
            "(mean square; 1 is right)."
        )
    return said
