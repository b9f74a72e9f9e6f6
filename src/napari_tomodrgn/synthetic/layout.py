"""Names of the files and particles of a simulation: the one place that spells them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Paths in the folder ``out``; names in star files are relative to the star's own folder."""

    out: Path

    @property
    def config(self) -> Path:
        """The configuration, which also marks the folder as a simulation."""
        return self.out / "simulation.json"

    @property
    def truth(self) -> Path:
        """The table of the truth."""
        return self.out / "truth.csv"

    @property
    def true_tilts(self) -> Path:
        """The table of what is true of each tilt image of a series."""
        return self.out / "truth_tilts.csv"

    @property
    def warptools(self) -> Path:
        """The optimisation set."""
        return self.out / "warptools" / "particles_optimisation_set.star"

    @property
    def warptools_particles(self) -> Path:
        """The particles star."""
        return self.out / "warptools" / "particles.star"

    @property
    def warptools_tomograms(self) -> Path:
        """The tomograms star."""
        return self.out / "warptools" / "particles_tomograms.star"

    @property
    def warp(self) -> Path:
        """The image-series star."""
        return self.out / "warp" / "particles.star"

    @property
    def tilt_series(self) -> Path:
        """Folder of the whole tilt images and all that programs wrote about them."""
        return self.out / "tilt_series"

    @property
    def stars(self) -> tuple[Path, ...]:
        """What tells a reader that the images beside it are whole."""
        return (self.warptools, self.warptools_particles, self.warptools_tomograms, self.warp)

    def tomogram(self, series: str) -> Path:
        """The reconstructed tomogram of a tilt series."""
        return self.out / "tomograms" / f"{series}.mrc"

    def truth_map(self, structure: str) -> Path:
        """The map of a state or frame."""
        return self.out / "truth_maps" / f"{structure}.mrc"


def tomogram_name(series: str) -> str:
    """What the star files of both programs call a tomogram."""
    return f"{series}.tomostar"


def warptools_stack(series: str, number: int, pixel_size_angstrom: float) -> str:
    """Stack of one particle, as WarpTools names it."""
    return f"particles/{series}/{series}_{pixel_size_angstrom:.2f}A_{number:06d}.mrcs"


def warp_stack(series: str) -> str:
    """Stack of all particles of a tomogram."""
    return f"particles/{series}.mrcs"


def warp_group(series_index: int, number: int) -> str:
    """Name of a particle in Warp's image series."""
    return f"tomo{series_index + 1:03d}_particle{number:04d}"
