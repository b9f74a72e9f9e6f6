"""Who stands where: tilt schemes, tomograms and particles, drawn from the seed alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.geometry import (
    euler_to_matrix,
    matrix_to_euler,
    random_rotations,
    tilt_matrix,
)
from napari_tomodrgn.synthetic.molecules import MOLECULES, assembly_shares
from napari_tomodrgn.synthetic.nuisances import Nuisances, draw_nuisances
from napari_tomodrgn.synthetic.settings import SimulationConfig

FloatArray = NDArray[np.float64]

# Optics of all simulated images.
VOLTAGE_KV = 300.0
SPHERICAL_ABERRATION_MM = 2.7
AMPLITUDE_CONTRAST = 0.07
# The tilt axis of real series lies near the camera's y axis or, as here, near its x axis.
TILT_AXIS_DEG = 85.0
TOMOGRAM_VOXEL_ANGSTROM = 24.0  # of painted tomograms, and of lists that count voxels
_THICKNESS_ANGSTROM = 1800.0  # of a tomogram, along z
# Share of the volume that particles fill: an eighth is the most that random placement surely finds.
_PACKING = 0.08
_DEFOCUS_JITTER_ANGSTROM = 150.0  # standard deviation of the defocus from tilt to tilt
_ASTIGMATISM_ANGSTROM = (100.0, 600.0)  # U − V of a series, drawn evenly between these


@dataclass(frozen=True, eq=False)
class TiltScheme:
    """The tilts of every series, from the most negative angle to the most positive.

    ``dose_e_per_angstrom2`` is what the specimen had received before each image; ``rotations``
    take specimen axes to image axes, shape ``(tilt, 3, 3)``, acting on xyz.
    """

    stage_tilt_deg: FloatArray
    dose_e_per_angstrom2: FloatArray
    rotations: FloatArray

    @property
    def ctf_scale(self) -> FloatArray:
        """Factor of each tilt's CTF, ``rlnCtfScalefactor``: the cosine of the tilt."""
        return np.asarray(np.cos(np.deg2rad(self.stage_tilt_deg)))


@dataclass(frozen=True, eq=False)
class TiltSeries:
    """One tomogram and its tilt series; arrays have one entry a tilt, defocus in Å, angle in °."""

    name: str
    extent_xyz_angstrom: FloatArray
    defocus_u_angstrom: FloatArray
    defocus_v_angstrom: FloatArray
    defocus_angle_deg: FloatArray
    visible: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Crowd:
    """The particles, one entry each, together by tomogram.

    Attributes
    ----------
    series, number
        Row of the particle's tomogram; its number within, from 1.
    angles_deg
        rot, tilt, psi of reference → specimen, ``(particle, 3)``.
    positions_angstrom
        Where the particle is, xyz from the tomogram's corner.
    origins_angstrom
        RELION's ``rlnOriginX/Y/ZAngst``: the box was cut out around ``positions + origins``.
    place
        Number of the structure; for a motion, anything between the first and the last frame.
    """

    series: NDArray[np.int64]
    number: NDArray[np.int64]
    angles_deg: FloatArray
    positions_angstrom: FloatArray
    origins_angstrom: FloatArray
    place: FloatArray


@dataclass(frozen=True, eq=False)
class ImagePoses:
    """Geometry of all tilt images of one particle: one entry a tilt."""

    rotations: FloatArray
    shifts_px: FloatArray
    positions_angstrom: FloatArray  # from the middle of the tilt image, xyz
    defocus_u_angstrom: FloatArray
    defocus_v_angstrom: FloatArray


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything but the densities and the noise."""

    scheme: TiltScheme
    series: tuple[TiltSeries, ...]
    crowd: Crowd
    pixel_size_angstrom: float
    nuisances: Nuisances

    def __len__(self) -> int:
        """Return the number of particles."""
        return len(self.crowd.series)

    def members(self, series: int) -> NDArray[np.int64]:
        """Rows of the particles of a tomogram, ``(row,)``."""
        return np.flatnonzero(self.crowd.series == series)

    def poses(self, particle: int) -> ImagePoses:
        """Pose, shift and defocus in each tilt image of a particle.

        The defocus follows the height in the tilted tomogram: above the middle is further from
        focus (hand −1 of RELION).
        """
        series = self.series[self.crowd.series[particle]]
        tilts = self.scheme.rotations
        from_middle = self.crowd.positions_angstrom[particle] - series.extent_xyz_angstrom / 2
        seen = tilts @ from_middle
        origin = self.crowd.origins_angstrom[particle] / self.pixel_size_angstrom
        return ImagePoses(
            rotations=tilts @ euler_to_matrix(self.crowd.angles_deg[particle]),
            shifts_px=(tilts @ origin)[:, :2],
            positions_angstrom=seen,
            defocus_u_angstrom=series.defocus_u_angstrom + seen[:, 2],
            defocus_v_angstrom=series.defocus_v_angstrom + seen[:, 2],
        )

    def true_poses(self, particle: int) -> ImagePoses:
        """Pose, shift and defocus as they are; `poses` are those that the star files say."""
        wrong, row = self.nuisances, int(self.crowd.series[particle])
        said = self.poses(particle)
        tilts = self.true_tilts(row)
        # The star says which shift brings the particle to the centre: it sits at minus that.
        place = self.crowd.origins_angstrom[particle] - wrong.shifts_angstrom[particle]
        shifts = (tilts @ (place / self.pixel_size_angstrom))[:, :2]
        recorded = euler_to_matrix(self.crowd.angles_deg[particle])
        return replace(
            said,
            rotations=tilts @ (wrong.turns[particle] @ recorded),
            shifts_px=shifts,
            defocus_u_angstrom=said.defocus_u_angstrom + wrong.defocus_angstrom[particle],
            defocus_v_angstrom=said.defocus_v_angstrom + wrong.defocus_angstrom[particle],
        )

    def true_tilts(self, series: int) -> FloatArray:
        """``(tilt, 3, 3)`` specimen → image, as the stage was tilted."""
        return scheme_rotations(self.scheme.stage_tilt_deg + self.nuisances.tilt_deg[series])

    def true_positions_angstrom(self) -> FloatArray:
        """``(particle, 3)`` xyz from the tomogram's corner as they are."""
        return np.asarray(self.crowd.positions_angstrom + self.nuisances.shifts_angstrom)

    def true_angles_deg(self) -> FloatArray:
        """``(particle, 3)`` rot, tilt, psi as they are."""
        if not self.nuisances.any_pose_error:
            return self.crowd.angles_deg
        recorded = euler_to_matrix(self.crowd.angles_deg)
        return matrix_to_euler(self.nuisances.turns @ recorded)


def make_scene(
    config: SimulationConfig, structures: int, pixel_size_angstrom: float, neighbor_kinds: int = 0
) -> Scene:
    """Draw tilt series and particles.

    Parameters
    ----------
    config
        What is simulated.
    structures
        Number of states, or of frames of the motion.
    pixel_size_angstrom
        Pixel size of the particle images.
    neighbor_kinds
        Number of structures that neighbours may have.
    """
    rng = np.random.default_rng([config.seed, 0])
    counts = [len(part) for part in np.array_split(np.arange(config.particles), config.tomograms)]
    diameter = MOLECULES[config.molecule].diameter_angstrom
    extent = _extent_for(max(counts), diameter)
    series = tuple(_draw_series(f"TS_{n + 1:03d}", extent, config, rng) for n in range(len(counts)))
    crowd = Crowd(
        series=np.repeat(np.arange(len(counts)), counts),
        number=np.concatenate([np.arange(count) + 1 for count in counts]),
        angles_deg=matrix_to_euler(random_rotations(config.particles, rng)),
        positions_angstrom=np.concatenate(
            [_draw_positions(n, extent, diameter, rng) for n in counts]
        ),
        origins_angstrom=rng.normal(
            scale=config.shifts_px * pixel_size_angstrom, size=(config.particles, 3)
        ),
        place=_draw_places(config, structures, rng),
    )
    scheme = dose_symmetric(config)
    size = (config.particles, len(counts), neighbor_kinds)
    nuisances = draw_nuisances(config.nuisances, size, scheme.stage_tilt_deg, diameter, config.seed)
    return Scene(scheme, series, crowd, pixel_size_angstrom, nuisances)


def dose_symmetric(config: SimulationConfig) -> TiltScheme:
    """Tilts from low to high angles, changing sides in pairs: 0, +3, −3, −6, +6, +9, …"""
    angles = np.linspace(-config.max_tilt_deg, config.max_tilt_deg, config.tilts)
    if config.tilts == 1:
        angles = np.zeros(1)
    from_middle = np.arange(config.tilts) - (config.tilts - 1) / 2
    level = np.ceil(np.abs(from_middle)).astype(int)
    side = np.where(level % 2, -np.sign(from_middle), np.sign(from_middle))
    dose = np.empty(config.tilts)
    dose[np.lexsort((side, level))] = np.arange(config.tilts) * config.dose_per_tilt
    return TiltScheme(angles, dose, scheme_rotations(angles))


def scheme_rotations(stage_tilt_deg: FloatArray) -> FloatArray:
    """``(tilt, 3, 3)`` specimen → image."""
    cos, sin = np.cos(np.deg2rad(TILT_AXIS_DEG)), np.sin(np.deg2rad(TILT_AXIS_DEG))
    in_plane = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    return np.asarray(in_plane @ tilt_matrix(stage_tilt_deg))


def _extent_for(particles: int, diameter_angstrom: float) -> FloatArray:
    """Edges xyz in Å of a tomogram with room for so many particles, in whole voxels."""
    volume = particles * np.pi / 6 * diameter_angstrom**3 / _PACKING
    side = np.sqrt(volume / (_THICKNESS_ANGSTROM - diameter_angstrom)) + 2 * diameter_angstrom
    voxels = np.ceil(np.array([side, side, _THICKNESS_ANGSTROM]) / TOMOGRAM_VOXEL_ANGSTROM)
    return np.asarray(2 * np.ceil(voxels / 2) * TOMOGRAM_VOXEL_ANGSTROM)


def _draw_series(
    name: str, extent: FloatArray, config: SimulationConfig, rng: np.random.Generator
) -> TiltSeries:
    mean = rng.uniform(config.defocus_min_um, config.defocus_max_um) * 1e4
    astigmatism = rng.uniform(*_ASTIGMATISM_ANGSTROM)
    jitter = rng.normal(scale=_DEFOCUS_JITTER_ANGSTROM, size=config.tilts)
    visible = np.ones(config.tilts, dtype=bool)
    visible[rng.choice(config.tilts, config.hidden_tilts, replace=False)] = False
    return TiltSeries(
        name=name,
        extent_xyz_angstrom=extent,
        defocus_u_angstrom=mean + jitter + astigmatism / 2,
        defocus_v_angstrom=mean + jitter - astigmatism / 2,
        defocus_angle_deg=np.full(config.tilts, rng.uniform(0.0, 180.0)),
        visible=visible,
    )


def _draw_positions(
    count: int, extent: FloatArray, diameter_angstrom: float, rng: np.random.Generator
) -> FloatArray:
    """Positions xyz in Å, no two closer than a particle's diameter, clear of the walls.

    Each particle bars at most eight times its own volume, so with `_PACKING` below an eighth there
    is always room and the loop ends.
    """
    low = np.array([1.0, 1.0, 0.5]) * diameter_angstrom
    placed = np.empty((count, 3))
    done = 0
    while done < count:
        tried = rng.uniform(low, extent - low)
        squared = ((placed[:done] - tried) ** 2).sum(axis=1)
        if not (squared < diameter_angstrom**2).any():
            placed[done] = tried
            done += 1
    return placed


def _draw_places(config: SimulationConfig, structures: int, rng: np.random.Generator) -> FloatArray:
    """States in their shares and random order, or a uniform coordinate along the motion."""
    if config.continuous:
        return rng.uniform(0.0, structures - 1, size=config.particles)
    states = np.arange(config.particles) % structures
    shares = assembly_shares() if config.assembly else config.shares
    if shares is not None:
        # Rounded where each state ends, so that together they are all particles.
        ends = np.cumsum(shares) / sum(shares) * config.particles
        states = np.searchsorted(np.rint(ends), np.arange(config.particles), side="right")
    return rng.permutation(states).astype(np.float64)
