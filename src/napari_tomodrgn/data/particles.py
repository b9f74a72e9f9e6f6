"""`ParticleSet`: one row per kept tilt image, one row per particle, and the optics they share.

Every value of one tilt image stands in that image's own row: pose, shift, defocus, dose, stage
tilt, file. Hiding a tilt or choosing particles is choosing rows, and nothing can fall out of step.
A particle is known by its tomogram and its own name, never by a position in a table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.config import DataConfig, Overrides
from napari_tomodrgn.data.optics import Optics, Sampling, binned_sampling, mixed_optics
from napari_tomodrgn.data.star import StarBlock
from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.geometry import euler_to_matrix

if TYPE_CHECKING:
    import pandas as pd

# Columns of ``ParticleSet.images``; every dialect fills all of them.
IMAGE_COLUMNS: dict[str, str] = {
    "particle_id": "identity of the particle (categorical, in the order of `particles`)",
    "tilt_index": "0-based index of the tilt in its series; in image series, of the image",
    "stack": "image file (categorical, absolute path)",
    "stack_index": "0-based index of the image in that file",
    "rot_deg": "first Euler angle of the whole rotation reference -> image, RELION's rot",
    "tilt_deg": "second Euler angle, RELION's tilt",
    "psi_deg": "third Euler angle, RELION's psi",
    "shift_x_px": "shift that brings the image content to the box centre, along x",
    "shift_y_px": "the same along y",
    "defocus_u_angstrom": "defocus along the major axis, positive is underfocus",
    "defocus_v_angstrom": "defocus along the minor axis",
    "defocus_angle_deg": "angle of the major axis from x",
    "phase_shift_deg": "phase plate",
    "dose_e_per_angstrom2": "exposure accumulated before or through this image, as the source says",
    "stage_tilt_deg": "tilt of the stage; where the source keeps only its cosine, positive",
    "ctf_scale": "factor of the CTF in images that were multiplied by it, rlnCtfScalefactor",
    "optics_group": "0-based row of `Optics.groups`",
    "source_row": "0-based row of the block of the source star that this image came from",
}

# Columns of ``ParticleSet.particles``, whose index is ``particle_id``.
PARTICLE_COLUMNS: dict[str, str] = {
    "tomogram": "name of the tomogram",
    "particle": "name of the particle within its tomogram, as the source gives it",
    "position_x_angstrom": "centre in the tomogram from its corner, x (NaN where not given)",
    "position_y_angstrom": "the same, y",
    "position_z_angstrom": "the same, z",
    "rot_deg": "Euler angle of the particle itself, reference -> tomogram (NaN if unknown)",
    "tilt_deg": "second angle",
    "psi_deg": "third angle",
    "tilts": "number of kept tilt images",
}

# In symmetry-expanded sets only: the identity of the particle that each row is a copy of.
COPY_OF = "copy_of"


@dataclass(frozen=True)
class TomogramGeometry:
    """Size of a tomogram, where the source gives it (unbinned extent in Å, xyz), and its hand.

    ``tilts`` counts the images of its tilt series, kept or not. ``defocus_slope`` is the factor of
    a particle's height in its defocus beside the hand (``rlnTomoDefocusSlope``), and
    ``b_factor_per_dose_angstrom2`` is ``rlnCtfBfactorPerElectronDose``.
    """

    name: str
    extent_xyz_angstrom: tuple[float, float, float] | None = None
    hand: float = -1.0
    tilts: int = 0
    defocus_slope: float = 1.0
    b_factor_per_dose_angstrom2: float = 0.0


@dataclass(frozen=True)
class ImageArrays:
    """Columns of the image table as arrays, row i of each belonging to row i of the table.

    ``particle`` is the row of the particle in ``ParticleSet.particles``; ``rotations`` are the
    matrices reference -> image, shape ``(image, 3, 3)``, acting on xyz.
    """

    particle: NDArray[np.int64]
    rotations: NDArray[np.float64]
    shifts_px: NDArray[np.float64]  # (image, 2), xy
    defocus_u_angstrom: NDArray[np.float64]
    defocus_v_angstrom: NDArray[np.float64]
    defocus_angle_deg: NDArray[np.float64]
    phase_shift_deg: NDArray[np.float64]
    dose_e_per_angstrom2: NDArray[np.float64]
    stage_tilt_deg: NDArray[np.float64]
    ctf_scale: NDArray[np.float64]
    optics_group: NDArray[np.int64]


@dataclass(frozen=True)
class Remark:
    """Something that reading a set has to say of it, beside the set itself.

    ``number`` counts what it concerns; ``severity`` is that of a check.
    """

    code: str
    severity: Literal["error", "warning", "info"]
    message: str
    remedy: str = ""
    number: float | None = None


@dataclass(frozen=True, eq=False)
class ParticleSet:
    """Particles of a tomography data set and their tilt images.

    Attributes
    ----------
    images
        One row per kept tilt image, columns of `IMAGE_COLUMNS`; rows of one particle are together,
        in the order of `particles`.
    particles
        One row per particle, columns of `PARTICLE_COLUMNS`, index ``particle_id``
        (``"<tomogram>/<particle>"``). Further columns may follow.
    optics
        What all images share.
    source
        Where the set came from: the star blocks as text, so that a subset can be written back with
        everything else untouched.
    """

    images: pd.DataFrame
    particles: pd.DataFrame
    optics: Optics
    source: StarSource

    def __len__(self) -> int:
        """Return the number of particles."""
        return len(self.particles)

    @property
    def ids(self) -> list[str]:
        """Identities ``"<tomogram>/<particle>"``, in order."""
        return [str(name) for name in self.particles.index]

    @property
    def originals(self) -> NDArray[np.int64]:
        """Number of the particle that each row is a copy of, ``(particle,)``.

        Rows with the same number share their images. They count up in the order
        of the rows: without symmetry expansion 0, 1, 2, …
        """
        if COPY_OF not in self.particles:
            return np.arange(len(self))
        codes = self.particles[COPY_OF].cat.codes.to_numpy()
        first, found = np.unique(codes, return_index=True, return_inverse=True)[1:]
        return np.asarray(np.argsort(np.argsort(first))[found], dtype=np.int64)

    @property
    def has_positions(self) -> bool:
        """Whether any particle has a place in its tomogram."""
        return bool(self.particles["position_x_angstrom"].notna().any())

    def select(self, ids: Iterable[str]) -> ParticleSet:
        """The particles of these identities, in the order of this set.

        Raises
        ------
        BadInputError
            If an identity is not in the set.
        """
        wanted = list(dict.fromkeys(ids))
        known = self.particles.index
        missing = [name for name in wanted if name not in known]
        if missing:
            raise BadInputError(
                f"{self.source.path}: no particle is called {missing[0]!r} "
                f"({len(missing)} of {len(wanted)} names unknown); "
                f"names look like {self.ids[0]!r}.",
                code="unknown-particle",
            )
        return self.take(np.asarray(known.isin(wanted)))

    def take(self, keep: NDArray[np.bool_]) -> ParticleSet:
        """Keep the particles where ``keep`` ``(particle,)`` is true, with all their images."""
        particles = self.particles[keep]
        images = self.images[keep[self.images["particle_id"].cat.codes.to_numpy()]].copy()
        images["particle_id"] = images["particle_id"].cat.set_categories(particles.index)
        images["stack"] = images["stack"].cat.remove_unused_categories()
        left = replace(self, images=images.reset_index(drop=True), particles=particles)
        return left._with_groups_in_use()

    def filter_images(self, keep: NDArray[np.bool_]) -> ParticleSet:
        """Keep the images where ``keep`` ``(image,)`` is true.

        Particles left without an image are dropped.
        """
        images = self.images[keep].reset_index(drop=True)
        images["stack"] = images["stack"].cat.remove_unused_categories()
        counts = images["particle_id"].cat.codes.value_counts()
        tilts = counts.reindex(range(len(self)), fill_value=0).to_numpy()
        kept = replace(self, images=images, particles=self.particles.assign(tilts=tilts))
        return kept._with_groups_in_use() if (tilts > 0).all() else kept.take(tilts > 0)

    def with_optics(self, **changes: Any) -> ParticleSet:
        """The same set with some fields of the optics replaced."""
        return replace(self, optics=replace(self.optics, **changes))

    def with_overrides(self, data: DataConfig) -> ParticleSet:
        """The same set, its images filtered and binned as the settings say, if they say so."""
        said = {"ctf_premultiplied": data.ctf_premultiplied, "dose_weighted": data.dose_weighted}
        changes = {name: value for name, value in said.items() if value is not None}
        changed = self.with_optics(**changes) if changes else self
        target = data.pixel_size_target_angstrom, data.box_target_px
        if target == (None, None):
            changed.refuse_mixed()
            return changed
        return changed.binned(*target)

    def binned(self, pixel_size_angstrom: float | None, box_size_px: int | None) -> ParticleSet:
        """The same set, its images to be binned as they are read; as in the files if both are None.

        Shifts follow the pixel size; poses, doses and defocus are the same at any.

        Raises
        ------
        BadInputError
            If some images are too coarse or too small for that, or stay of different sampling.
        """
        stored = self._stored_samplings()
        pixels = {one.pixel_size_angstrom for one in stored}
        if (len(pixels) > 1 and pixel_size_angstrom is None) or (
            len(stored) > 1 and (pixel_size_angstrom, box_size_px) == (None, None)
        ):
            raise mixed_optics(self.source.path, stored)
        return self.sampled(binned_sampling(stored, pixel_size_angstrom, box_size_px))

    def sampled(self, target: Sampling) -> ParticleSet:
        """The same set, all images brought to one sampling that each of them covers."""
        changed = self.optics.sampled(target)
        if changed == self.optics:
            return self
        before = np.array([one.pixel_size_angstrom for one in self.optics.samplings])
        scale = before[self.images["optics_group"].to_numpy()] / target.pixel_size_angstrom
        shifts = {f"shift_{axis}_px": self.images[f"shift_{axis}_px"] * scale for axis in "xy"}
        return replace(self, optics=changed, images=self.images.assign(**shifts))

    def refuse_mixed(self) -> None:
        """Raise `BadInputError` where images differ in pixel size or box, saying which have which.

        Such a set can be listed, looked through and written; its images are of no use together.
        """
        if self.optics.differs:
            raise mixed_optics(self.source.path, self._stored_samplings())

    def _stored_samplings(self) -> dict[Sampling, str]:
        """Samplings of the image files, each with whose it is, in words."""
        stored, groups = self.optics.stored, self.optics.groups
        if len(set(stored)) == 1:
            return {stored[0]: "the images"}
        counts = self.images["optics_group"].value_counts()
        words = {}
        for one in dict.fromkeys(stored):
            mine = [number for number, other in enumerate(stored) if other == one]
            names = ", ".join(filter(None, dict.fromkeys(groups[i].group_name for i in mine)))
            count = sum(int(counts.get(number, 0)) for number in mine)
            words[one] = f"optics group {names}" if names else f"{count} image{'s' * (count != 1)}"
        return words

    def _with_groups_in_use(self) -> ParticleSet:
        """The same without groups that no image is left of, where they are sampled differently."""
        if len(set(self.optics.stored)) == 1:
            return self
        used, code = np.unique(self.images["optics_group"], return_inverse=True)
        if len(used) in (0, len(self.optics.groups)):
            return self
        images = self.images.assign(optics_group=code.reshape(-1))
        return replace(self, optics=self.optics.of_groups(used.tolist()), images=images)

    def arrays(self) -> ImageArrays:
        """The image columns as arrays, taken out once, in one place."""
        table = self.images
        angles = table[["rot_deg", "tilt_deg", "psi_deg"]].to_numpy(np.float64)
        taken = {"particle", "rotations", "shifts_px", "optics_group"}
        names = ImageArrays.__dataclass_fields__.keys() - taken
        return ImageArrays(
            particle=np.asarray(table["particle_id"].cat.codes, dtype=np.int64),
            rotations=euler_to_matrix(angles),
            shifts_px=table[["shift_x_px", "shift_y_px"]].to_numpy(np.float64),
            optics_group=table["optics_group"].to_numpy(np.int64),
            **{name: table[name].to_numpy(np.float64) for name in names},
        )


@dataclass(frozen=True, eq=False)
class StarSource:
    """The source star as text, for writing subsets back letter for letter.

    Attributes
    ----------
    path
        The star file that the user named.
    dialect
        Name of the dialect that read it, e.g. ``"warptools"``.
    blocks
        Blocks of the star that lists the particles, every value as it stands in the file
        (data frames for loops, dicts for key/value blocks).
    particle_block
        Key in ``blocks`` of the loop whose rows are particles or images.
    rows_are_images
        True where a row of that loop is one image, False where it is one particle.
    tomogram_blocks
        Blocks of the tomograms star, if there is one.
    tomograms
        Geometry of each tomogram that has particles.
    tomograms_path
        The tomograms star that was read.
    image_column
        Column of the particles' loop that names the image files; empty where none does.
    optimisation_set
        Entries of the optimisation set, where the user named one.
    overrides
        What was read otherwise than the files say; it is not written back.
    remarks
        What reading has to say: rows left out, columns that are not applied, what was assumed.
    """

    path: Path
    dialect: str
    blocks: dict[str, StarBlock]
    particle_block: str
    rows_are_images: bool
    tomogram_blocks: dict[str, StarBlock] | None = None
    tomograms: tuple[TomogramGeometry, ...] = ()
    tomograms_path: Path | None = None
    image_column: str = "rlnImageName"
    optimisation_set: dict[str, str] = field(default_factory=dict)
    overrides: Overrides = field(default_factory=Overrides)
    remarks: tuple[Remark, ...] = ()
