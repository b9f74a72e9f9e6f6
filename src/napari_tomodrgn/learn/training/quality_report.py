"""The quality report of a run: how good its latents are, in figures and in a sentence each."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from napari_tomodrgn.learn.decoding.volume_decoder import FourierModel
from napari_tomodrgn.learn.inference.calibration import Calibration
from napari_tomodrgn.learn.inference.held_out import EarlyStopping, mean_difference
from napari_tomodrgn.learn.inference.kept_axes import kept_shares, known_well
from napari_tomodrgn.learn.inference.methods import EncoderInference, Inference
from napari_tomodrgn.learn.inference.shrinkage import ShrinkageResult

if TYPE_CHECKING:
    from torch import Tensor

# Methods, as ``quality.json`` calls them.
ENCODER, REFINED, LINEAR = "encoder", "refined", "linear"
# A run ends with the linear engine's latents where these explain held-out images better by more
# than so many standard errors: in doubt it ends with what it was asked to train.
_SURELY_BETTER = 2.0
# An axis of the first look is lost where the latents know less than this of it. Of 800 ribosomes in
# five compositions those that were told apart stood at 0.95 to 1.00 after each of twelve epochs,
# 5S RNP, whose AUC had fallen from 1.00 to 0.57, at 0.00 to 0.05; half lost (AUC 0.96), at 0.48.
_LEAST_KEPT = 0.5


@dataclass(frozen=True, eq=False)
class LatentEstimate:
    """Latents by one method (encoder, refined, linear), and how good they were found to be."""

    inference: Inference
    decoder: FourierModel
    calibration: Calibration | None
    latents: Tensor  # (particle, latent) from the images learnt from; NaN where not compared
    held_out: Tensor  # (particle,)
    support: ShrinkageResult | None = None  # of the method that the run ends with


def to_dict(
    stopping: EarlyStopping, estimates: dict[str, LatentEstimate], epoch: int
) -> dict[str, object]:
    """What was measured, as plain numbers; ``epoch``: the one that the run ends with."""
    best = best_method(estimates)
    support = estimates[best].support
    return {
        "epoch": epoch,
        "best_epoch": stopping.best,
        "epochs": stopping.seen,
        "latents": best,
        "held_out": {
            name: float(estimate.held_out.nanmean()) for name, estimate in estimates.items()
        },
        "better_than_linear": (
            dict(zip(("mean", "standard_error"), _gain_over_linear(estimates), strict=True))
            if LINEAR in estimates
            else None
        ),
        "first_look_axes_kept": _kept_of_first_look(estimates),
        **(support.to_dict() if support else {}),
        "calibration": {
            name: asdict(estimate.calibration)
            for name, estimate in estimates.items()
            if estimate.calibration
        },
    }


def network_method(estimates: dict[str, LatentEstimate]) -> str:
    """Whose latents those of the autoencoder's epoch are."""
    return REFINED if REFINED in estimates else ENCODER


def best_method(estimates: dict[str, LatentEstimate]) -> str:
    """Whose latents the run ends with."""
    if LINEAR in estimates:
        gain, error = _gain_over_linear(estimates)
        if gain < -_SURELY_BETTER * error:
            return LINEAR
    return network_method(estimates)


def _gain_over_linear(estimates: dict[str, LatentEstimate]) -> tuple[float, float]:
    """By how much the autoencoder explains held-out images better than the linear engine does.

    Its standard error too.
    """
    network = estimates[network_method(estimates)]
    return mean_difference(estimates[LINEAR].held_out, network.held_out)


def _kept_of_first_look(estimates: dict[str, LatentEstimate]) -> list[float]:
    """Of each axis that the first look knows well, the share that the autoencoder's latents know.

    Empty where there is none; -1 for an axis that the first look itself hardly knows.
    """
    if LINEAR not in estimates:
        return []
    axes = estimates[LINEAR].latents
    shares = kept_shares(axes, estimates[network_method(estimates)].latents)
    shares = shares.where(known_well(axes), -1.0)
    return [] if bool(shares.isnan().any()) else [round(one, 4) for one in shares.tolist()]


def _lost_in_words(kept: list[float]) -> str:
    """Say which axes of the first look the latents have lost; empty where they have lost none."""
    lost = [number for number, share in enumerate(kept, 1) if 0 <= share < _LEAST_KEPT]
    if not lost:
        return ""
    which = f"ax{'e' if len(lost) > 1 else 'i'}s {', '.join(map(str, lost))}"
    return (
        f"Along {which} the first look tells particles apart and these latents do not: look at "
        "epoch 0 for that, too."
    )


def filter_in_words(shell_filter: list[float]) -> str:
    """Say what a shell filter ``(shell,)`` leaves: at the first shell, and where it ends."""
    first, past = shell_filter[1], shell_filter.count(0.0)
    ends = f", none in the last {past} of {len(shell_filter) - 1} shells" if past else ""
    half = next((n for n, factor in enumerate(shell_filter) if n and factor < first / 2), None)
    falls = f", half of it from shell {half}" if half is not None else ""
    return f"{first:.0%} of the differences from the middle at low resolution{falls}{ends}"


def report_sentences(estimates: dict[str, LatentEstimate], epoch: int) -> list[str]:
    """What else a user should know; ``epoch``: the one that the autoencoder ended with."""
    best, lines = best_method(estimates), []
    support = estimates[best].support
    if support is not None and min(support.shell_filter) < 1:
        lines.append(f"Maps are shell-filtered: {filter_in_words(support.shell_filter)}.")
    if support is not None and support.classes:
        count = len(support.classes)
        lines.append(f"Held-out images ask for a shell filter of their own in {count} clusters.")
    if LINEAR in estimates:
        gain, error = _gain_over_linear(estimates)
        compared = (network_method(estimates), LINEAR)
        here, linear = (float(estimates[name].held_out.nanmean()) for name in compared)
        figures = f"{here:.4f} against {linear:.4f}, difference {gain:+.4f} ± {error:.4f}"
        if best == LINEAR:
            lines.append(
                f"The run ends with the first look (epoch 0, of the linear engine): epoch {epoch} "
                f"explains held-out images worse ({figures}). It is kept; training longer may help."
            )
        elif error == error:  # a number: images were held out
            lines.append(f"Held-out images: no worse than by the linear engine ({figures}).")
    if best != LINEAR and (lost := _lost_in_words(_kept_of_first_look(estimates))):
        lines.append(lost)
    calibration = estimates[best].calibration
    if calibration is not None:
        inference = estimates[best].inference
        known = isinstance(inference, EncoderInference) and inference.known is not None
        which = "Latents that are known" if known else "Latents"
        lines.append(
            f"{which} from halves of the tilts differ by {calibration.ratio:.2f} "
            f"± {calibration.standard_error:.2f} times what their widths say "
            "(mean square; 1 is right)."
        )
    return lines
