"""Everything of an extraction that is read before anything is decided or cut."""

from __future__ import annotations

from dataclasses import dataclass

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.cut import CropPlan, plan_crops
from napari_tomodrgn.extract.dose.mdoc import read_mdoc
from napari_tomodrgn.extract.lists import ParticleList, read_list
from napari_tomodrgn.extract.output import ExtractedOptics, PlacedSeries
from napari_tomodrgn.extract.series import Conventions, Series, read_all_series
from napari_tomodrgn.extract.settings import ExtractConfig
from napari_tomodrgn.extract.tomogram import place

_DEFAULTS = {"voltage_kv": 300.0, "spherical_aberration_mm": 2.7, "amplitude_contrast": 0.07}
# Tilt series of one set are of one pixel size; headers round it.
_SAME_PIXEL = 1e-3


@dataclass(frozen=True, eq=False)
class Extraction:
    """What is known before anything is cut."""

    config: ExtractConfig
    particles: ParticleList
    series: tuple[Series, ...]
    plan: CropPlan
    optics: ExtractedOptics
    assumed: tuple[str, ...]

    def placed(self, conventions: Conventions) -> list[PlacedSeries]:
        """All tomograms under some conventions, empty ones left out."""
        return [
            place(one, self.particles, conventions, self.plan, self.config.min_tilts)
            for one in self.series
        ]


def read_extraction(config: ExtractConfig) -> Extraction:
    """Read everything but images.

    Raises
    ------
    BadInputError
        If anything is missing or wrong, in one sentence.
    """
    particles = read_list(config.particles)
    series = read_all_series(config, particles)
    pixels = [one.stack.pixel_size_angstrom for one in series]
    for one, pixel in zip(series, pixels, strict=True):
        if abs(pixel / pixels[0] - 1) > _SAME_PIXEL:
            raise BadInputError(
                f"{one.stack.path}: its pixels are {pixel:g} Å, those of {series[0].name} "
                f"{pixels[0]:g} Å.",
                remedy="Extract sets of different pixel size one by one, with --tomogram NAME.",
                code="mixed-pixel-sizes",
            )
    plan = plan_crops(pixels[0], config.box_px, config.pixel_size_target_angstrom)
    optics, assumed = _optics(config, series)
    return Extraction(config, particles, tuple(series), plan, optics, assumed)


def _optics(config: ExtractConfig, series: list[Series]) -> tuple[ExtractedOptics, tuple[str, ...]]:
    """Voltage, aberration, amplitude contrast: of the user, the CTF's files, the mdoc."""
    assumed = []
    found: dict[str, float] = {}
    for name, default in _DEFAULTS.items():
        values = {
            value
            for one in series
            if (value := getattr(one.contrast, name)) is not None and value > 0
        }
        said = getattr(config, name)
        if said is None and not values and name == "voltage_kv":
            values = _mdoc_voltages(series)
        if said is None and len(values) > 1:
            raise BadInputError(
                f"{series[0].contrast.path}: {name} differs between tilt series "
                f"({min(values):g} to {max(values):g}).",
                remedy="Extract them one by one, with --tomogram NAME.",
                code="mixed-optics",
            )
        if said is None and not values:
            assumed.append(f"{name.replace('_', ' ')} ({default:g})")
        found[name] = said if said is not None else (values.pop() if values else default)
    return ExtractedOptics(**found), tuple(assumed)


def _mdoc_voltages(series: list[Series]) -> set[float]:
    files = [one.sources["dose"] for one in series]
    voltages = [read_mdoc(path).value("Voltage") for path in files if path.suffix == ".mdoc"]
    return {voltage for voltage in voltages if voltage}
