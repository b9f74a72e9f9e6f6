"""The verdict of a run on whether its particles differ, for a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from napari_tomodrgn.analysis.evidence.cause_names import MOLECULE
from napari_tomodrgn.learn.inference.told_apart import THRESHOLD_SIGMA, verdict_sentence
from napari_tomodrgn.learn.run.epoch_files import FIRST_LOOK

_ASK = " Compare two groups (Validate) to see whether it is the molecule or its poses."
# Share of the particles that two groups are, that they speak of the run.
_MOST = 0.8
_OF_GROUPS = " The last comparison of two groups, a test of its own:"


@dataclass(frozen=True)
class Verdict:
    """Whether heterogeneity is supported: a few words, and the whole sentence."""

    kind: Literal["supported", "doubted", "unsupported", "untested"]
    words: str
    sentence: str

    @classmethod
    def of(cls, quality: dict[str, object]) -> Verdict:
        """Read it from what a run measured when it ended, as ``Run.quality`` gives it."""
        sigma = quality.get("told_apart_standard_errors")
        if not isinstance(sigma, (int, float)):
            return cls(
                "untested",
                "not tested",
                "Heterogeneity is untested: no images were held out, or the training has not "
                "ended.",
            )
        supported = sigma > THRESHOLD_SIGMA
        sentence = verdict_sentence(sigma)
        # A bare figure was read as if there were some.
        words = f"variation: {sigma:.1f} σ" if supported else f"no variation: {sigma:.1f} σ"
        if quality.get("epoch") == FIRST_LOOK:  # so far, or what the run ended with
            words = "first look: " + words.removeprefix("variation: ")
            sentence = f"First look: {sentence}"
        if supported:
            return cls("supported", words, sentence + _ASK)
        return cls("unsupported", words, sentence)

    def after(self, comparison: Mapping[str, object] | None) -> Verdict:
        """The same beside a comparison, as its record has it: in doubt where that names a cause.

        Particles differ all the same, but what differs was found not to be the molecule. Where two
        groups do not differ others may: then it is still to be asked. Of two groups that are some
        of the particles it says nothing of all.
        """
        cause = "" if comparison is None else str(comparison["cause"])
        if self.kind != "supported" or comparison is None or not cause:
            return self
        sentence = f"{self.sentence.removesuffix(_ASK)}{_OF_GROUPS} {comparison['sentence']}"
        if cause == MOLECULE or not _of_most(comparison):
            return replace(self, sentence=sentence)
        words = f"{self.words}, {cause.split(' or ')[0]}"
        return replace(self, kind="doubted", words=words, sentence=sentence)


def _of_most(comparison: Mapping[str, object]) -> bool:
    """Whether two groups are most of the particles; so they are where it is not kept."""
    names = ("particles_a", "particles_b", "particles_in_run")
    counts = [count for name in names if isinstance(count := comparison.get(name), int)]
    return len(counts) < len(names) or counts[0] + counts[1] >= _MOST * counts[2]
