"""Every column that touches how images came about, and what reading does about each.

The one place that knows them all. `FORMATION_COLUMNS` has what RELION 3.1 to 5, Warp and M,
nextPYP, cisTEM and emClarity can write into the tables that we read; ``docs/file-formats.md``
shows it. A column that is told but not applied makes a remark (`Remark`) as soon as its values
change anything, and so do columns that say one thing twice, and differently: nothing is skipped in
silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from napari_tomodrgn.data.dialects.optics_table import BEAM_COLUMNS, PIXEL_COLUMNS, SAME
from napari_tomodrgn.data.particles import Remark
from napari_tomodrgn.data.star_table import StarTable, arrow_strings
from napari_tomodrgn.errors import BadInputError

if TYPE_CHECKING:
    import pandas as pd

Action = Literal["used", "told", "done", "same"]


@dataclass(frozen=True)
class FormationColumn:
    """A column that touches image formation.

    Attributes
    ----------
    name
        Without the leading underscore.
    action
        ``used`` (read, or refused where it says what cannot be read); ``told`` (not applied, a
        remark says so); ``done`` (it says where an image was cut out, or what was before a fit or a
        refinement: that is over); ``same`` (the same for all images, or undone by the scale that
        each gets, so that no difference between particles comes of it).
    what
        What we do about it, for people.
    neutral
        The number that changes nothing; any other makes the remark.
    """

    name: str
    action: Action
    what: str
    neutral: float = 0.0


def _all(action: Action, what: str, *names: str, neutral: float = 0.0) -> list[FormationColumn]:
    return [FormationColumn(name, action, what, neutral) for name in names]


_USED = [
    *_all("used", "CTF", "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast"),
    *_all("used", "CTF", "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnPhaseShift"),
    *_all("used", "sign of the height in the defocus", "rlnTomoHand"),
    *_all("used", "factor of the height in the defocus", "rlnTomoDefocusSlope"),
    *_all("used", "dose (image series: −4 · dose)", "rlnCtfBfactor"),
    *_all("used", "dose", "rlnMicrographPreExposure", "tomodrgnTotalDose", "cisTEMPreExposure"),
    *_all("used", "what the dose leaves: exp(−B · dose · s² / 4)", "rlnCtfBfactorPerElectronDose"),
    *_all(
        "used",
        "factor of the CTF in pre-multiplied images; stage tilt of image series",
        "rlnCtfScalefactor",
    ),
    *_all("used", "stage tilt", "rlnTomoNominalStageTiltAngle", "tomodrgnPseudoStageTilt"),
    *_all("used", "images were multiplied by their CTF", "rlnCtfDataAreCtfPremultiplied"),
    *_all("used", "the CTF's sign was taken out of them", "rlnCtfDataArePhaseFlipped"),
    *_all("used", "the CTF was taken out of them", "rlnCtfDataAreCtfCorrected"),
    *_all("used", "whether images are dose-weighted", "tomodrgnDoseWeighted"),
    *_all("used", "pixel size", "rlnImagePixelSize", "rlnPixelSize", "rlnDetectorPixelSize"),
    *_all("used", "pixel size", "rlnMagnification", "cisTEMPixelSize"),
    *_all("used", "pixel size", "rlnTomoTiltSeriesPixelSize", "rlnTomoSubtomogramBinning"),
    *_all("used", "box", "rlnImageSize"),
    *_all("used", "2-D stacks or refused", "rlnImageDimensionality", "rlnTomoSubTomosAre2DStacks"),
    *_all("used", "which images there are", "rlnTomoVisibleFrames"),
    *_all("used", "rows that are switched off are left out", "cisTEMImageActivity"),
    *_all("used", "images of 0 are left out", "cisTEMOccupancy"),
    *_all("used", "rotation", "rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"),
    *_all("used", "rotation", *(f"rlnTomoSubtomogram{name}" for name in ("Rot", "Tilt", "Psi"))),
    *_all("used", "rotation of a tilt", "rlnTomoXTilt", "rlnTomoYTilt", "rlnTomoZRot"),
    *_all("used", "rotation of a tilt", *(f"rlnTomoProj{axis}" for axis in "XYZ")),
    *_all("used", "rotation", "cisTEMAnglePhi", "cisTEMAngleTheta", "cisTEMAnglePsi"),
    *_all("used", "shift", *(f"rlnOrigin{axis}" for axis in "XYZ")),
    *_all("used", "shift", *(f"rlnOrigin{axis}Angst" for axis in "XYZ")),
    *_all("used", "shift", "cisTEMXShift", "cisTEMYShift"),
    *_all("used", "height", *(f"rlnCoordinate{axis}" for axis in "XYZ")),
    *_all("used", "height", *(f"rlnCenteredCoordinate{axis}Angst" for axis in "XYZ")),
    *_all("used", "height", *(f"rlnTomoSize{axis}" for axis in "XYZ")),
    *_all("used", "CTF", "cisTEMDefocus1", "cisTEMDefocus2", "cisTEMDefocusAngle"),
    *_all("used", "CTF", "cisTEMPhaseShift", "cisTEMMicroscopeVoltagekV"),
    *_all("used", "CTF", "cisTEMMicroscopeCsMM", "cisTEMAmplitudeContrast"),
]
_ABERRATION = "a phase that grows with the cube of the frequency"
_TOLD = [
    *_all("told", _ABERRATION, "rlnBeamTiltX", "rlnBeamTiltY", "cisTEMBeamTiltX"),
    *_all("told", _ABERRATION, "cisTEMBeamTiltY"),
    *_all("told", "further aberrations", "rlnOddZernike", "rlnEvenZernike"),
    *_all("told", "anisotropic magnification", "rlnMagMat00", "rlnMagMat11", neutral=1.0),
    *_all("told", "anisotropic magnification", "rlnMagMat01", "rlnMagMat10"),
    *_all("told", "luminance of a tilt", "rlnTomoRelativeLuminance", neutral=1.0),
]
_OVER = [
    *_all("done", "where an image was cut out", "rlnTomoXShiftAngst", "rlnTomoYShiftAngst"),
    *_all("done", "where an image was cut out", "rlnTomoProjW", "rlnTomoDeformationType"),
    *_all("done", "where it was cut out", "rlnTomoDeformationGridSizeX"),
    *_all("done", "where it was cut out", "rlnTomoDeformationGridSizeY"),
    *_all("done", "where it was cut out", "rlnTomoDeformationCoefficients"),
    *_all("done", "where it was cut out", "rlnTomoNominalTiltAxisAngle"),
    *_all("done", "before the fit of the defocus", "rlnTomoNominalDefocus"),
    *_all("done", "what a fit of the CTF gave beside it", "rlnCtfAstigmatism", "rlnCtfImage"),
    *_all("done", "angles and shifts before refinement", "rlnAngleTiltPrior", "rlnAnglePsiPrior"),
    *_all("done", "angles before refinement", "rlnAngleRotPrior"),
    *_all("done", "shifts before refinement", "rlnOriginXPrior", "rlnOriginYPrior"),
    *_all("done", "shifts before refinement", "rlnOriginXPriorAngst", "rlnOriginYPriorAngst"),
    *_all("done", "shifts before refinement", "rlnOriginZPriorAngst"),
    *_all("done", "exposure behind the image", "cisTEMTotalExposure"),
    *_all("done", "dose of one tilt", "rlnTomoImportFractionalDose", "rlnMicrographDoseRate"),
    *_all("done", "how images were recorded", "cisTEMImageShiftX", "cisTEMImageShiftY"),
    *_all("done", "optical group", "rlnBeamTiltClass", "rlnBeamTiltGroupName"),
    *_all("done", "optical group", "cisTEMBeamTiltGroup"),
    *_all("same", "response of the camera", "rlnMtfFileName"),
    *_all("same", "pixel before binning", "rlnMicrographOriginalPixelSize"),
    *_all("same", "pixel before binning", "rlnMicrographPixelSize", "rlnTomoTomogramBinning"),
    *_all("same", "scale of an image in another refinement", "rlnNormCorrection"),
    *_all("same", "scale of a group in another refinement", "rlnGroupScaleCorrection"),
]

FORMATION_COLUMNS: dict[str, FormationColumn] = {
    column.name: column for column in (*_USED, *_TOLD, *_OVER)
}

# Names, files, scores and counts: they say nothing of how an image came about.
OTHER_COLUMNS = frozenset(
    (
        "cisTEMBest2DClass",
        "cisTEMLogP",
        "cisTEMOriginalImageFilename",
        "cisTEMParticleGroup",
        "cisTEMPositionInStack",
        "cisTEMScore",
        "cisTEMScoreChange",
        "cisTEMSigma",
        "cisTEMStackFilename",
        "rlnAccumMotionEarly",
        "rlnAccumMotionLate",
        "rlnAccumMotionTotal",
        "rlnClassNumber",
        "rlnCtfFigureOfMerit",
        "rlnCtfIceRingDensity",
        "rlnCtfMaxResolution",
        "rlnEtomoDirectiveFile",
        "rlnGroupName",
        "rlnGroupNumber",
        "rlnImageName",
        "rlnLogLikeliContribution",
        "rlnMaxValueProbDistribution",
        "rlnMicrographMetadata",
        "rlnMicrographMovieName",
        "rlnMicrographName",
        "rlnNrOfSignificantSamples",
        "rlnOpticsGroup",
        "rlnOpticsGroupName",
        "rlnRandomSubset",
        "rlnTiltIndex",
        "rlnTomoFiducialsStarFile",
        "rlnTomoFrameCount",
        "rlnTomoName",
        "rlnTomoParticleId",
        "rlnTomoParticleName",
        "rlnTomoParticlesFile",
        "rlnTomoReconstructedTomogram",
        "rlnTomoTiltMovieFrameCount",
        "rlnTomoTiltSeriesName",
        "rlnTomoTiltSeriesStarFile",
        "rlnTomoTomogramsFile",
        "rlnTomoTrajectoriesFile",
    )
)


# Columns for the same shift, in Å and in pixels of a size that need not be known: in proportion.
_SHIFTS = [(f"rlnOrigin{axis}Angst", f"rlnOrigin{axis}") for axis in "XYZ"]
# What an optics block and the rows that name its groups may both say; the block is read.
_OPTICS = (*BEAM_COLUMNS, *PIXEL_COLUMNS)


def formation_remarks(tables: Iterable[StarTable]) -> Iterator[Remark]:
    """What the tables of a set say of its images that is not applied."""
    found: dict[str, str] = {}
    for table in tables:
        for name in table.frame.columns:
            column = FORMATION_COLUMNS.get(name)
            if column is None or column.action != "told":
                continue
            if _changes(table.frame[name], column.neutral):
                found[name] = column.what
    if found:
        words = "; ".join(f"{name} ({what})" for name, what in found.items())
        yield Remark(
            "not-applied",
            "info",
            f"The star files say what is not applied: {words}.",
            "Of no account at the resolution of most boxes; else correct the images first.",
            len(found),
        )


def _changes(values: pd.Series, neutral: float) -> bool:
    """Whether any number of a column, lists included, is another one."""
    words = pc.unique(arrow_strings(values)).to_pylist()
    for text in words[:1000]:
        for word in str(text).strip("[]{}() ").split(","):
            try:
                number = float(word)
            except ValueError:
                continue
            if np.isfinite(number) and abs(number - neutral) > 1e-6:
                return True
    return False


def twice_said(tables: Iterable[StarTable]) -> Iterator[Remark]:
    """What the tables of a set say twice and not alike, and which of both is taken."""
    known = list({(table.path, table.block): table for table in tables}.values())
    for table in known:
        for taken, other in (*combinations(PIXEL_COLUMNS, 2), *_SHIFTS):
            if taken in table and other in table and not _alike(table, taken, other):
                yield _remark(table, other, table, taken)
    for block, rows in _blocks_and_rows(known):
        for column in _OPTICS:
            if column in block and column in rows:
                one, two = np.unique(_numbers(block, column)), np.unique(_numbers(rows, column))
                if len(one) == 1 and len(two) and not np.allclose(two, one[0], rtol=SAME):
                    yield _remark(rows, column, block, column)


def _blocks_and_rows(tables: list[StarTable]) -> Iterator[tuple[StarTable, StarTable]]:
    blocks = [table for table in tables if table.block == "optics"]
    for block in blocks:
        for rows in tables:
            if rows.path == block.path and rows.block != "optics" and "rlnOpticsGroup" in rows:
                yield block, rows


def _alike(table: StarTable, taken: str, other: str) -> bool:
    """Whether two columns say the same: pixel sizes exactly, shifts up to a factor."""
    one, two = _numbers(table, taken), _numbers(table, other)
    if len(one) != len(two):  # what cannot be read says nothing alike
        return False
    if taken in PIXEL_COLUMNS:
        # In RELION 3.0 the detector's pixel is in micrometres, before magnification.
        return "rlnMagnification" in table or np.allclose(one, two, rtol=SAME)
    if not two.any() or not one.any():
        return not one.any() and not two.any()
    factor = float(one @ two / (two @ two))
    return factor > 0 and bool(np.abs(one - factor * two).max() <= 1e-2 * np.abs(one).max())


def _numbers(table: StarTable, column: str) -> NDArray[np.float64]:
    try:
        return table.numbers(column)
    except BadInputError:  # of a column that is not read
        return np.zeros(0)


def _remark(of_other: StarTable, other: str, of_taken: StarTable, taken: str) -> Remark:
    values = [_range(_numbers(of_taken, taken)), _range(_numbers(of_other, other))]
    where = "" if of_other is of_taken else f" of block data_{of_other.block}"
    kept = "" if of_other is of_taken else f" of block data_{of_taken.block}"
    return Remark(
        "said-twice",
        "warning",
        f"{taken}{kept} ({values[0]}) and {other}{where} ({values[1]}) of {of_taken.path.name} do "
        "not say the same; the first is taken.",
        "Remove the one that is wrong.",
        1.0,
    )


def _range(values: NDArray[np.float64]) -> str:
    if not len(values):
        return "no numbers"
    low, high = values.min(), values.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
