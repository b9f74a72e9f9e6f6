"""Groups of one structure whose poses were refined on all tilts: does that leak into the evidence?

Run::

    python benchmarks/evidence_aligned.py [--seeds 10] [--out aligned.csv]

Poses that were aligned with the images of all tilts follow their noise, that of the choosing tilts
as that of the judging ones, so that groups chosen by one half might be told apart in the other.
Sets of **one** structure as `evidence.CASES["one"]`, poses 3° off (about each axis) and shifts
4 Å; then each particle is aligned with the mean map of the set from all its images, by steps of
Gauss and Newton in its three turns and three shifts, and the mean map is made anew, four times
over. Groups are chosen and compared as in `evidence.py`. A row tells how far poses were off before
and after.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from evidence import (
    SET,
    append,
    fit_latents,
    groups,
    is_there,
    judged,
    plain,
    read_simulated,
    summary,
)
from scipy import ndimage
from scipy.spatial.transform import Rotation

from napari_tomodrgn.analysis.evidence.difference import real_maps
from napari_tomodrgn.analysis.evidence.membership import uncrossed
from napari_tomodrgn.analysis.evidence.particle_sums import ParticleSums
from napari_tomodrgn.analysis.evidence.session import add_up, prepare_evidence
from napari_tomodrgn.config import RunConfig, WeightConfig
from napari_tomodrgn.data.particles import ParticleSet
from napari_tomodrgn.data.tilt_data import TiltData
from napari_tomodrgn.geometry import euler_to_matrix, matrix_to_euler
from napari_tomodrgn.learn.reconstruction.contrast import run_to_end
from napari_tomodrgn.physics.fourier import shift_phases

SETTINGS = {
    **SET,
    "structures": ("60S",),
    "nuisances": {"pose_error_deg": 3.0, "shift_error_angstrom": 4.0},
}
ROUNDS = 4
_TURN_DEG, _SHIFT_PX = 2.0, 0.5
# How far poses are thought to be off at first: what images hardly tell is left alone.
_PRIOR_DEG, _PRIOR_PX = 5.0, 1.0


def slopes(sums: ParticleSums) -> np.ndarray:
    """``(6, voxel)`` change of the mean map with a turn about z, y, x (radian) and a shift (px)."""
    size = sums.ball.support.shape[0]
    density = real_maps(sums.mean[None], sums)[0].reshape((size,) * 3)
    places = sums.ball.flat_places().cpu().numpy()
    voxel = sums.box_size_px / size  # of this grid, in pixels of the images
    found = []
    for number in range(6):
        ends = []
        for sign in (1, -1):
            if number < 3:
                turn = np.eye(3)[number] * sign * np.deg2rad(_TURN_DEG)
                moved = _turned(density, Rotation.from_rotvec(turn).as_matrix())
            else:
                step = np.eye(3)[number - 3] * sign * _SHIFT_PX / voxel
                moved = ndimage.shift(density, step, order=3)
            ends.append(np.fft.rfftn(np.fft.ifftshift(moved)).ravel()[places])
        width = 2 * (np.deg2rad(_TURN_DEG) if number < 3 else _SHIFT_PX)
        found.append((ends[0] - ends[1]) / width)
    return np.stack(found)


def _turned(density: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """A map ρ(M x), zyx."""
    half = density.shape[0] // 2
    return ndimage.affine_transform(density, matrix, half - matrix @ np.full(3, half), order=3)


def steps(sums: ParticleSums) -> np.ndarray:
    """``(particle, 6)`` turn and shift of each particle that its images ask for, from all tilts."""
    maps = slopes(sums) * (sums.shells <= sums.radius_px)
    residual, curvature = sums.residual.sum(0), sums.curvature.sum(0)
    right = np.einsum("jv,pv->pj", np.conj(maps) * sums.counts, residual).real
    pairs = (np.conj(maps[:, None]) * maps[None]).real * sums.counts
    normal = np.einsum("ijv,pv->pij", pairs, curvature)
    prior = [1 / np.deg2rad(_PRIOR_DEG) ** 2] * 3 + [1 / _PRIOR_PX**2] * 3
    # The likelihood is Σ 2 Re Δ* N − |Δ|² D, so that half the prior's precision stands beside D.
    return np.linalg.solve(normal + np.diag(prior) / 2, right[..., None])[..., 0]


def moved(data: TiltData, change: np.ndarray, weight: WeightConfig) -> TiltData:
    """The same images, each particle turned and shifted by ``(particle, 6)`` of `steps`."""
    particles = data.particles
    arrays = particles.arrays()
    turns = Rotation.from_rotvec(change[:, :3]).as_matrix()[:, ::-1, ::-1].swapaxes(1, 2)
    rotations = arrays.rotations @ turns[arrays.particle]
    # Of a particle in its own frame, seen in each image: xyz from zyx.
    seen = np.einsum("iab,ib->ia", rotations, change[arrays.particle, :2:-1])
    images = particles.images.copy()
    images[["rot_deg", "tilt_deg", "psi_deg"]] = matrix_to_euler(rotations)
    back = torch.from_numpy(-seen[:, :2].astype(np.float32))
    samples = data.images.samples * shift_phases(data.lattice, back)
    return TiltData(
        replace(particles, images=images),
        replace(data.images, samples=samples),
        data.lattice,
        weight,
    )


def off_deg(now: ParticleSet, listed: ParticleSet, truth: Path) -> float:
    """Root mean square angle of poses to the truth, without the turn that all have in common.

    ``listed`` are the poses of the star file, which images and particles share; ``truth`` is the
    table of the simulation, whose angles are those of the particles.
    """
    angles = ["rot_deg", "tilt_deg", "psi_deg"]
    table = pd.read_csv(truth).set_index("particle_id").loc[now.ids, angles]
    first = listed.particles[angles].to_numpy()
    ours, before = (one.arrays().rotations for one in (now, listed))
    rows = listed.arrays().particle
    star, true = euler_to_matrix(first)[rows], euler_to_matrix(table.to_numpy())[rows]
    theirs = before @ star.swapaxes(1, 2) @ true
    between = Rotation.from_matrix(ours).inv() * Rotation.from_matrix(theirs)
    between = between * between.mean().inv()
    return float(np.rad2deg(np.sqrt(np.mean(between.magnitude() ** 2))))


def aligned(data: TiltData, run: RunConfig) -> TiltData:
    """The data with poses refined on all tilts."""
    for _ in range(ROUNDS):
        data = moved(data, steps(run_to_end(add_up(data, run))), run.weight)
    return data


def main() -> None:
    """Rows that are not there yet, then how often groups were said to differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("aligned.csv"))
    asked = parser.parse_args()
    for seed in range(asked.seeds):
        if is_there(asked.out, seed=seed):
            continue
        with tempfile.TemporaryDirectory() as folder:
            data, run = read_simulated(Path(folder), SETTINGS, seed)
            listed, truth = data.particles, Path(folder) / "truth.csv"
            before = off_deg(listed, listed, truth)
            data = aligned(data, run)
            after = off_deg(data.particles, listed, truth)
            evidence, latents = run_to_end(prepare_evidence(data, run)), fit_latents(data, run)
            for way, drawn in groups("one", latents, seed):
                row = {"case": "one, aligned", "seed": seed, "way": way}
                row |= {"off before": before, "off after": after}
                row |= judged(evidence, drawn, seed) | plain(evidence, uncrossed(drawn).labels)
                append(asked.out, row)
                print(row, flush=True)
    table = pd.read_csv(asked.out)
    summary(table)
    print(table[["off before", "off after"]].mean())


if __name__ == "__main__":
    main()
