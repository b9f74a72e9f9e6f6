"""Tilt series of a real structure with known states, written as genuine star, mrcs and mrc files.

One set of particles is written twice, as WarpTools and as Warp would export it, with a tomogram
to each tilt series and a table of the truth::

    OUT/
      simulation.json                               the configuration
      truth.csv                                     state, pose, position of each particle
      truth_maps/NAME.mrc                           the structures, voxel = pixel of the images
      warptools/particles_optimisation_set.star     open this one, or
      warptools/particles{,_tomograms}.star, warptools/particles/TS_001/….mrcs
      warp/particles.star, warp/particles/TS_001.mrcs          this one
      tomograms/TS_001.mrc

What a camera would record of a structure with transform ``S`` (`napari_tomodrgn.physics`)::

    raw       = CTF · d · s · S + n     d = exp(-dose / 2 Nc), s = cos(tilt), n white, variance 1
    Warp      = -raw                    not multiplied by anything; particles light on dark
    WarpTools = CTF · d · s · raw       CTF-premultiplied and dose-weighted; particles light

as `physics.image_formation` has it. The CTF is negative at low resolution, hence the minus sign.

The signal-to-noise ratio is the variance of ``CTF · d · s · S`` over the pixels of the box,
averaged over images, divided by the variance of ``n``: before any filter of the export. All states
share one scale and one noise.
"""

from __future__ import annotations

from napari_tomodrgn.synthetic.settings import SimulationConfig
from napari_tomodrgn.synthetic.simulation import (
    Simulated,
    SimulationEvent,
    SimulationProgress,
    simulate,
)

__all__ = [
    "Simulated",
    "SimulationConfig",
    "SimulationEvent",
    "SimulationProgress",
    "simulate",
]
