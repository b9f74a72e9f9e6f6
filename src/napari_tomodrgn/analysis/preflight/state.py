"""What the checks of a preflight share: thresholds, and what was found so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from napari_tomodrgn.analysis.preflight.cross_validation import (
    NO_PREFERENCE,
    Agreement,
    ModelComparison,
    half_set_agreement,
    preference,
    split_shells,
)
from napari_tomodrgn.analysis.preflight.events import Contrast
from napari_tomodrgn.analysis.preflight.map_character import MapCharacter
from napari_tomodrgn.analysis.preflight.power_spectrum import PowerModel
from napari_tomodrgn.config import DataConfig
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.learn.reconstruction.subsample import Sample


@dataclass(frozen=True)
class Thresholds:
    particles: int = 6  # fewer have no halves and no errors to speak of
    sure: float = 4.0  # z from which a difference between particles is taken for real
    multiplied: float = 0.7  # μ from which noise is taken to carry the CTF
    fits: float = 0.3  # μ from which a CTF shows in power spectra at all
    gain: float = 0.1  # how much better another description has to foresee, poses
    gain_ctf: float = 0.5  # the same, CTFs over the shells that tell them apart
    information: float = 0.3  # poses that add surely less than this are of no use
    contrast: float = 0.3  # density of the middle over its surroundings, in SD of the map
    spread_angstrom: float = 100.0  # of heights, below which their sign cannot matter
    untilted_deg: float = 6.0  # up to this, a wrong height hardly moves a particle in its image
    tilted_deg: tuple[float, float] = (15.0, 50.0)  # where it does; steeper ones are weak anyway
    tilted_share: float = 0.25  # of the signal of untilted images, which tilted ones surely have
    farthest_origin_px: float = 4.0  # steps of a tomogram's voxel that are tried
    exponent: float = 0.5  # of d² or s² in the noise: 0 if it was taken out rightly, 1 if not
    odd: float = 0.02  # share of odd images that deserves a look
    scale: float = 0.1  # by which one group's images may be stronger than another's


LIMIT = Thresholds()


@dataclass
class State:
    """What the checks have found so far and the next ones build on."""

    sample: Sample  # as corrected so far
    config: DataConfig
    power: PowerModel | None = None
    given: Agreement | None = None
    kind: MapCharacter | None = None
    contrast: Contrast | None = None
    doses_in_order: bool = True  # False where detail grows with the dose
    odd: list[str] = field(default_factory=list)

    def spectra(self) -> PowerModel:
        if self.power is None:
            self.power = PowerModel(self.sample)
        return self.power

    def maps(self) -> Agreement:
        if self.given is None:
            self.given = half_set_agreement(self.sample)
        return self.given

    def prefers_ctf(self, other: ParticleSet) -> ModelComparison:
        """How much better other CTFs foresee images, over the shells that tell them apart."""
        sample = self.sample.over(other)
        shells = split_shells(self.sample, sample)
        if not shells[2:].any():
            return NO_PREFERENCE
        return preference(self.maps(), half_set_agreement(sample), shells)
