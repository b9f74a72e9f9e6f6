"""What is simulated: one frozen, validated object."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class NuisanceConfig(BaseModel):
    """What is wrong with the images that the star files know nothing of; all 0: nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pose_error_deg: float = Field(
        0.0,
        ge=0.0,
        le=180.0,
        title="Pose errors (°)",
        description="Standard deviation, about each axis, of how far angles in the star are off.",
    )
    shift_error_angstrom: float = Field(
        0.0,
        ge=0.0,
        title="Shift errors (Å)",
        description="Standard deviation, along each axis, of how far places are off.",
    )
    neighbors: float = Field(
        0.0,
        ge=0.0,
        le=50.0,
        title="Neighbours",
        description="Mean number of other molecules, of the same and other kinds, around each "
        "particle, touching it or one layer out; in a crowded cell 3 to 6.",
    )
    membranes: float = Field(
        0.0, ge=0.0, le=1.0, title="Membranes", description="Share of particles beside a membrane."
    )
    defocus_error_angstrom: float = Field(
        0.0,
        ge=0.0,
        title="Defocus errors (Å)",
        description="Standard deviation, particle by particle, of how far the defocus is off.",
    )
    tilt_angle_error_deg: float = Field(
        0.0,
        ge=0.0,
        le=45.0,
        title="Tilt angle errors (°)",
        description="Standard deviation, image by image of a series, of how far tilts are off.",
    )
    thickness: float = Field(
        0.0,
        ge=0.0,
        le=10.0,
        title="Ice thickness",
        description="In mean free paths: the signal falls with the path through the ice, which "
        "grows with the tilt.",
    )
    uneven_dose: float = Field(
        0.0,
        ge=0.0,
        le=2.0,
        title="Uneven dose",
        description="Standard deviation of the logarithm of each image's dose over the nominal.",
    )
    false_picks: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        title="False picks",
        description="Share of particles that are not there.",
    )


class SimulationConfig(BaseModel):
    """Size, states and optics of a simulated data set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    particles: int = Field(500, ge=1, title="Particles")
    tilts: int = Field(41, ge=1, le=181, title="Tilts", description="Images in each tilt series.")
    max_tilt_deg: float = Field(
        60.0, ge=0.0, le=80.0, title="Largest tilt (°)", description="From minus to plus this."
    )
    box_size_px: int = Field(
        64,
        ge=16,
        le=256,
        multiple_of=2,
        title="Box (px)",
        description="Below 64 the pixel grows, so that the particle stays in the box; "
        "above, the margin does.",
    )
    states: int = Field(
        2,
        ge=1,
        le=5,
        title="States",
        description="Compositions of a ribosome: 80S, 60S, 40S, 60S without 5S RNP, "
        "80S without Lso2; the first so many of them, in equal shares.",
    )
    structures: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        title="Structures",
        description="Names of the states to simulate instead of the first few: the compositions, "
        "or frames of the motion, motion_00.0_deg to motion_16.0_deg in steps of 2.",
    )
    shares: tuple[float, ...] | None = Field(
        None,
        title="Shares",
        description="Of each state, up to a common factor; empty: equal.",
    )
    continuous: bool = Field(
        False,
        title="Continuous motion",
        description="Instead of states: the small subunit turns by 0 to 16 degrees.",
    )
    snr: float = Field(
        0.1,
        gt=0.0,
        le=1e6,
        title="Signal-to-noise ratio",
        description="Variance of the signal in the box, after CTF and dose, over that of the "
        "noise.",
    )
    dose_per_tilt: float = Field(3.0, ge=0.0, le=50.0, title="Dose per tilt (e/Å²)")
    dose_attenuation: bool = Field(
        True, title="Radiation damage", description="The dose takes away high resolution."
    )
    defocus_min_um: float = Field(2.5, ge=0.0, le=20.0, title="Smallest defocus (µm)")
    defocus_max_um: float = Field(5.0, ge=0.0, le=20.0, title="Largest defocus (µm)")
    shifts_px: float = Field(
        1.5,
        ge=0.0,
        le=16.0,
        title="Shifts (px)",
        description="Standard deviation, along each axis, of how far particles sit off the "
        "centre of their box; the star files say by how much.",
    )
    nuisances: NuisanceConfig = Field(default_factory=NuisanceConfig, title="Nuisances")
    tomograms: int = Field(2, ge=1, le=999, title="Tomograms")
    hidden_tilts: int = Field(
        0,
        ge=0,
        title="Hidden tilts",
        description="Tilts of each series, drawn at random, that are marked as not usable.",
    )
    tilt_series: bool = Field(
        False,
        title="Tilt series",
        description="Also the whole tilt images, with the alignment, list, CTF and dose of every "
        "program.",
    )
    export: Literal["both", "warptools", "warp"] = Field(
        "both",
        title="Export",
        description="As WarpTools writes it (a stack a particle, pre-multiplied), as Warp does "
        "(one row an image, as recorded), or both.",
    )
    seed: int = Field(0, ge=0, title="Seed", description="Same seed: same files, byte for byte.")

    @model_validator(mode="after")
    def _fits_together(self) -> SimulationConfig:
        if self.hidden_tilts >= self.tilts:
            raise ValueError(f"hidden_tilts ({self.hidden_tilts}) leaves none of {self.tilts}")
        if self.tomograms > self.particles:
            raise ValueError(f"{self.particles} particles cannot fill {self.tomograms} tomograms")
        if self.structures is not None and self.continuous:
            raise ValueError("structures names states; a continuous motion has none")
        if self.shares is not None:
            self._check_shares(self.shares)
        if self.defocus_min_um > self.defocus_max_um:
            raise ValueError("defocus_min_um is larger than defocus_max_um")
        return self

    def _check_shares(self, shares: tuple[float, ...]) -> None:
        states = self.states if self.structures is None else len(self.structures)
        if self.continuous:
            raise ValueError("shares are of states; a continuous motion has none")
        if len(shares) != states:
            raise ValueError(f"{len(shares)} shares for {states} states")
        if min(shares) < 0 or not 0 < sum(shares) < float("inf"):
            raise ValueError(f"shares are not negative and not all 0, not {shares}")
