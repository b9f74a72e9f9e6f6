"""From a structure to the images of one particle, as the microscope and each export make them."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_tomodrgn.physics.ctf import CtfParameters
from napari_tomodrgn.physics.fourier import (
    images_from_samples,
    sample_transform,
    shift_phases,
    transform_images,
)
from napari_tomodrgn.physics.image_formation import (
    ImageFormation,
    ImageParameters,
    image_formation,
)
from napari_tomodrgn.physics.lattice import HalfPlane, half_plane, slice_frequencies
from napari_tomodrgn.synthetic.scene import (
    AMPLITUDE_CONTRAST,
    SPHERICAL_ABERRATION_MM,
    VOLTAGE_KV,
    ImagePoses,
    Scene,
)
from napari_tomodrgn.synthetic.settings import SimulationConfig
from napari_tomodrgn.synthetic.structures import Structures
from napari_tomodrgn.synthetic.surroundings import Surroundings

# The scale is measured on so many particles at most.
_SCALE_PARTICLES = 64


@dataclass(frozen=True, eq=False)
class ParticleImages:
    """The images of one particle in each export, ``(tilt, box, box)`` float32."""

    warp: NDArray[np.float32]
    warptools: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Microscope:
    """Makes the images of particles of a scene."""

    scene: Scene
    structures: Structures
    config: SimulationConfig
    lattice: HalfPlane
    surroundings: Surroundings | None = None

    def formation(self, poses: ImagePoses, particle: int) -> ImageFormation:
        """The model of a particle's images as WarpTools exports them, ``(tilt, point)``."""
        series = self.scene.series[self.scene.crowd.series[particle]]
        scheme = self.scene.scheme

        def tensor(column: NDArray[np.float64]) -> Tensor:
            return torch.from_numpy(column).to(torch.float32)

        contrast = CtfParameters(
            defocus_u_angstrom=tensor(poses.defocus_u_angstrom),
            defocus_v_angstrom=tensor(poses.defocus_v_angstrom),
            defocus_angle_deg=tensor(series.defocus_angle_deg),
            phase_shift_deg=torch.zeros(len(series.defocus_angle_deg)),
            voltage_kv=VOLTAGE_KV,
            spherical_aberration_mm=SPHERICAL_ABERRATION_MM,
            amplitude_contrast=AMPLITUDE_CONTRAST,
            pixel_size_angstrom=self.scene.pixel_size_angstrom,
        )
        parameters = ImageParameters(
            contrast,
            tensor(scheme.dose_e_per_angstrom2),
            tensor(scheme.stage_tilt_deg),
            tensor(scheme.ctf_scale),
            ctf_premultiplied=True,
            dose_weighted=True,
        )
        return image_formation(
            self.lattice.frequencies, parameters, dose_decay=self.config.dose_attenuation
        )

    def signal(self, poses: ImagePoses, particle: int, factor: Tensor) -> Tensor:
        """Fourier samples of the noiseless images, ``(tilt, point)``: ``factor · S``, shifted.

        The star files say which shift brings the particle to the centre, so it sits at minus that.
        """
        rotations = torch.from_numpy(poses.rotations)
        slices = sample_transform(
            self.structures.transform_at(float(self.scene.crowd.place[particle])),
            slice_frequencies(self.lattice.frequencies, rotations),
        )
        shifts = shift_phases(self.lattice, -torch.from_numpy(poses.shifts_px))
        return slices * shifts * factor

    def images(self, particle: int, scale: float) -> ParticleImages:
        """Images of a particle with noise, as each program exports them."""
        model = self.formation(self.scene.poses(particle), particle)
        signal = self.seen(particle) * scale
        box = self.config.box_size_px
        rng = np.random.default_rng([self.config.seed, 1, particle])
        noise = torch.from_numpy(rng.standard_normal((len(signal), box, box), dtype=np.float32))
        recorded = images_from_samples(signal, self.lattice) + noise
        filtered = (signal + transform_images(noise, self.lattice)) * model.applied
        return ParticleImages(
            warp=(-recorded).numpy(),
            warptools=images_from_samples(filtered, self.lattice).numpy(),
        )

    def seen(self, particle: int, shifts_px: NDArray[np.float64] | None = None) -> Tensor:
        """Fourier samples of all that is in the box, as it is and not as it was recorded.

        Complex ``(tilt, point)``; ``shifts_px``: ``(tilt, 2)`` xy that bring the particle to the
        centre, where they are not those of its true pose.
        """
        wrong, poses = self.scene.nuisances, self.scene.true_poses(particle)
        if shifts_px is not None:
            poses = replace(poses, shifts_px=shifts_px)
        factor = self.formation(poses, particle).signal
        signal = self.signal(poses, particle, factor)
        if wrong.false_picks[particle]:
            signal = torch.zeros_like(signal)
        if self.surroundings is not None:
            signal = signal + self.surroundings.samples(particle, poses, factor)
        amplitude = wrong.amplitudes(int(self.scene.crowd.series[particle]))
        return signal * torch.from_numpy(amplitude).to(torch.float32)[:, None]

    def signal_variance(self, particle: int) -> float:
        """Variance within the noiseless images of a particle, by Parseval's theorem."""
        poses = self.scene.poses(particle)
        samples = self.signal(poses, particle, self.formation(poses, particle).signal)
        varying = samples[:, self.lattice.shells > 0]
        power = torch.view_as_real(varying).square().sum(dim=(1, 2)).mean()
        return 2 * float(power) / self.config.box_size_px**4


def make_microscope(
    scene: Scene,
    structures: Structures,
    config: SimulationConfig,
    neighbors: Structures | None = None,
) -> Microscope:
    """Set up the optics for a scene, and what neighbours look like."""
    lattice = half_plane(config.box_size_px, include_dc=True)
    around = None if neighbors is None else Surroundings(scene, neighbors, lattice)
    return Microscope(scene, structures, config, lattice, around)


def signal_scale(microscope: Microscope, pool: Executor) -> float:
    """Factor that gives the noiseless images the asked variance (that of the noise being 1)."""
    particles = len(microscope.scene)
    chosen = np.linspace(0, particles - 1, min(particles, _SCALE_PARTICLES)).round().astype(int)
    variances = list(pool.map(microscope.signal_variance, chosen.tolist()))
    return float(np.sqrt(microscope.config.snr / np.mean(variances)))
