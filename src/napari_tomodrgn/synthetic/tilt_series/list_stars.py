"""The same particles in the star files of each program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from napari_tomodrgn.files import write_text
from napari_tomodrgn.geometry import matrix_to_euler
from napari_tomodrgn.synthetic.tilt_series.true_particles import FloatArray, TrueParticles

_ANGLES = [f"rlnAngle{name}" for name in ("Rot", "Tilt", "Psi")]
_COUNTED = [f"rlnCoordinate{axis}" for axis in "XYZ"]
_CENTRED = [f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ"]
_ORIGINS = [f"rlnOrigin{axis}Angst" for axis in "XYZ"]
# What was extracted by WarpTools has coarser pixels than the tilt series.
_EXTRACTED_BINNING = 2.0
# What cryoSPARC puts before the names of the micrographs that it imports.
_UID = "000123456789012345678"


def write_relion5_list(folder: Path, particles: TrueParticles) -> None:
    """``relion5.star``, as refined without 2-D stacks: places in Å from the middle."""
    rows = zip(particles.names, particles.number.tolist(), strict=True)
    _write_list(
        folder / "relion5.star",
        ["rlnTomoName", "rlnTomoParticleId", *_CENTRED, *_ANGLES],
        rows,
        [particles.centred_angstrom, matrix_to_euler(particles.rotations)],
    )


def write_relion4_list(folder: Path, particles: TrueParticles) -> None:
    """``relion4.star``: whole pixels of the tilt series, the rest in the refined origins."""
    pixel = particles.pixel_size_angstrom
    whole = particles.series_px.round()
    origins = (whole - particles.series_px) * pixel
    _write_list(
        folder / "relion4.star",
        ["rlnTomoName", "rlnOpticsGroup", *_COUNTED, *_ORIGINS, *_ANGLES],
        ((name, 1) for name in particles.names),
        [whole, origins, matrix_to_euler(particles.rotations)],
        {"rlnOpticsGroup": 1, "rlnTomoTiltSeriesPixelSize": f"{pixel:g}"},
    )


def write_relion3(folder: Path, particles: TrueParticles) -> None:
    """``relion3.star``: voxels of the binned tomogram."""
    _write_voxels(folder / "relion3.star", particles, "rlnMicrographName", ".mrc", {})


def write_pytom_star(folder: Path, particles: TrueParticles) -> None:
    """``pytom.star``: voxels of the binned tomogram, as pytom-match-pick writes them."""
    scores = {"rlnLCCmax": 0.5, "rlnCutOff": 0.2, "rlnSearchStd": 0.03}
    _write_voxels(folder / "pytom.star", particles, "rlnMicrographName", "", scores)


def write_warp_list(folder: Path, particles: TrueParticles) -> None:
    """``warp.star``: voxels of the binned tomogram, as Warp 1 and M write them."""
    _write_voxels(
        folder / "warp.star",
        particles,
        "rlnMicrographName",
        ".tomostar",
        {"rlnMagnification": 10000.0},
    )


def write_cryosparc(folder: Path, particles: TrueParticles) -> None:
    """``cryosparc.star``: poses of cryoSPARC, places carried along; names with its numbers."""
    before = [f"{_UID}_{name}" for name in particles.names]
    _write_voxels(folder / "cryosparc.star", particles, "rlnMicrographName", ".mrc", {}, before)


def write_warptools_list(folder: Path, particles: TrueParticles) -> None:
    """``warptools.star``: 3-D subtomograms; places in pixels of these, from the corner."""
    pixel = particles.pixel_size_angstrom * _EXTRACTED_BINNING
    places = particles.voxels * particles.voxel_size_angstrom / pixel
    _write_list(
        folder / "warptools.star",
        ["rlnTomoName", "rlnOpticsGroup", *_COUNTED, *_ANGLES],
        ((f"{name}.tomostar", 1) for name in particles.names),
        [places, matrix_to_euler(particles.rotations)],
        {
            "rlnOpticsGroup": 1,
            "rlnTomoTiltSeriesPixelSize": f"{particles.pixel_size_angstrom:g}",
            "rlnImagePixelSize": f"{pixel:g}",
        },
    )


def _write_voxels(
    path: Path,
    particles: TrueParticles,
    tomogram: str,
    end: str,
    more: dict[str, float],
    names: Sequence[str] | None = None,
) -> None:
    """A loop of places in voxels, with columns that are the same in every row."""
    constant = {"rlnDetectorPixelSize": particles.voxel_size_angstrom, **more}
    words = [f"{value:g}" for value in constant.values()]
    _write_list(
        path,
        [tomogram, *constant, *_COUNTED, *_ANGLES],
        ((f"{name}{end}", *words) for name in names or particles.names),
        [particles.voxels, matrix_to_euler(particles.rotations)],
    )


def _write_list(
    path: Path,
    columns: Sequence[str],
    words: Iterable[tuple[object, ...]],
    numbers: Sequence[FloatArray],
    optics: dict[str, object] | None = None,
) -> None:
    """A star of one loop: some words, then numbers, in each row; optics above if there are any."""
    text = "" if optics is None else _loop("optics", list(optics), [tuple(optics.values())])
    rows = [
        (*word, *(f"{value:.5f}" for part in values for value in part))
        for word, *values in zip(words, *numbers, strict=True)
    ]
    write_text(path, text + _loop("particles", columns, rows))


def _loop(block: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> str:
    head = "".join(f"_{name} #{n}\n" for n, name in enumerate(columns, 1))
    body = "".join(" ".join(map(str, row)) + "\n" for row in rows)
    return f"\ndata_{block}\n\nloop_\n{head}{body}\n"
