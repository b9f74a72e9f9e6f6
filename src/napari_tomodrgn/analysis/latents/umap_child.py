"""UMAP of latents, in a process of its own.

umap-learn compiles itself anew in every process (ten seconds and more of a core), and numba's plain
thread layer ends the whole process when two threads use it at once. So it never runs in the window
or in a run: ``python -m napari_tomodrgn.analysis.latents.umap_child LATENTS.npy MAP.npy SEED`` is
started and waited for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_tomodrgn.errors import BadInputError

_NEIGHBOURS = 15  # of each particle, as UMAP takes them
# With fewer latent dimensions the components show all there is; with fewer particles, nearly all
# are neighbours of all.
FEWEST_DIMENSIONS = 3
FEWEST_PARTICLES = 2 * _NEIGHBOURS
_WAIT_S = 0.1  # seconds between looks at whether the child has ended


def is_worth_it(latents: NDArray[np.floating]) -> bool:
    """Whether a map in two dimensions can add something to latents ``(particle, latent)``."""
    particles, dimensions = latents.shape
    return bool(dimensions >= FEWEST_DIMENSIONS and particles >= FEWEST_PARTICLES)


def umap_steps(
    latents: NDArray[np.floating], seed: int = 0
) -> Generator[None, None, NDArray[np.float32]]:
    """Places ``(particle, 2)``; yields ten times a second while the child computes.

    Closing the generator ends the child. Same latents, same seed, same machine: same map.

    Raises
    ------
    BadInputError
        If the child fails, with the last line that it said.
    """
    with tempfile.TemporaryDirectory(prefix="napari-tomodrgn-") as folder:
        source, result = Path(folder) / "latents.npy", Path(folder) / "map.npy"
        said = Path(folder) / "said.txt"
        np.save(source, np.asarray(latents, dtype=np.float32), allow_pickle=False)
        command = [sys.executable, "-m", __name__, str(source), str(result), str(seed)]
        with said.open("wb") as stream:
            child = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        try:
            while child.poll() is None:
                yield
                time.sleep(_WAIT_S)
        finally:
            if child.poll() is None:
                child.kill()
            child.wait()
        if child.returncode != 0 or not result.exists():
            lines = said.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise BadInputError(
                f"UMAP could not be computed ({lines[-1]}).",
                remedy="The principal components show the same latents.",
                code="no-umap",
            )
        return np.asarray(np.load(result, allow_pickle=False), dtype=np.float32)


def umap_of(latents: NDArray[np.floating], seed: int) -> NDArray[np.float32]:
    """Places ``(particle, 2)``, computed here: seconds to minutes."""
    import umap

    neighbours = min(_NEIGHBOURS, len(latents) - 1)
    # One job: with more, the seed would not decide the outcome.
    model = umap.UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1)
    return np.asarray(model.fit_transform(latents), dtype=np.float32)


def run_child() -> None:
    """What the child does; it leaves the window and a training their cores."""
    source, result, seed = sys.argv[1:]
    if hasattr(os, "nice"):
        os.nice(10)
    places = umap_of(np.load(source, allow_pickle=False), int(seed))
    np.save(result, places, allow_pickle=False)


if __name__ == "__main__":
    run_child()
