"""Make the trained run that the package carries: ``python benchmarks/make_sample_run.py``.

Simulates ribosomes of three compositions in two tomograms, trains a small autoencoder on them,
analyses it, and keeps what the window needs to show it: latents and weights of the last epoch, star
files, analysis, and the two tomograms, binned and in bytes. No images. About a minute on two cores;
what is there is replaced. Prints sizes and how well clusters agree with the truth.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd

from napari_tomodrgn.analysis.latents.analyze import analyze_steps
from napari_tomodrgn.analysis.latents.clusters import agreement
from napari_tomodrgn.config import RunConfig
from napari_tomodrgn.data.dialects import read_particles
from napari_tomodrgn.data.volume import read_volume, write_volume
from napari_tomodrgn.learn.run.directory import Run
from napari_tomodrgn.learn.training.train import train
from napari_tomodrgn.particle_columns import typical_particle
from napari_tomodrgn.synthetic import SimulationConfig, simulate

OUT = Path(__file__).parents[1] / "src" / "napari_tomodrgn" / "sample_run"
SIMULATION = SimulationConfig(
    particles=240, tilts=21, box_size_px=32, states=3, snr=0.1, tomograms=2
)
EPOCHS = 20
CONFIG = RunConfig.model_validate(
    {
        "model": {
            "latent_dim": 4,
            "image_encoder_dim": 32,
            "image_features": 32,
            "particle_encoder_dim": 64,
            "decoder_dim": 96,
        },
        "train": {"epochs": EPOCHS, "device": "cpu", "checkpoint_every": EPOCHS},
    }
)
# Of a binned tomogram, standard deviations of its densities become grey values 0…127.
BIN, GREYS_PER_SIGMA = 3, 24


def main() -> int:
    """Make it anew; 1 if its clusters are not the compositions."""
    with tempfile.TemporaryDirectory() as scratch:
        simulated, folder = Path(scratch) / "simulated", Path(scratch) / "run"
        for _ in simulate(simulated, SIMULATION):
            pass
        source = simulated / "warptools" / "particles_optimisation_set.star"
        for _ in train(read_particles(source), CONFIG, folder):
            pass
        found = _analysed(Run.open(folder))
        _keep_first_map(Run.open(folder))
        truth = pd.read_csv(simulated / "truth.csv").set_index("particle_id")
        states = truth.loc[Run.open(folder).latents().index, "state"]
        _keep(Run.open(folder), simulated)
    size = sum(file.stat().st_size for file in OUT.rglob("*") if file.is_file())
    ari = agreement(found, states.to_numpy())
    print(f"{OUT}: {size / 1e6:.2f} MB, clusters against the truth: ARI {ari:.3f}")
    return 0 if ari > 0.9 else 1


def _analysed(run: Run) -> np.ndarray:
    steps = analyze_steps(run, clusters=SIMULATION.states)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            labels: np.ndarray = end.value.clusters.labels
            return labels


def _keep_first_map(run: Run) -> None:
    """The map that the window shows first."""
    latents = run.latents()
    z = latents.loc[typical_particle(latents)].filter(like="mu_").to_numpy(dtype=np.float32)
    file = run.analysis.first_map_file(run.last_epoch())
    write_volume(file, run.decoder().decode(z))
    _without_date(file)


def _without_date(file: Path) -> None:
    """The same file whenever it is made."""
    with mrcfile.open(file, "r+") as mrc:
        mrc.header.label[0] = "napari-tomodrgn sample"


def _keep(run: Run, simulated: Path) -> None:
    """Copy what is shown; what names the machine that it was made on is taken out."""
    shutil.rmtree(OUT, ignore_errors=True)
    last = f"epoch-{run.last_epoch():04d}"
    kept = ["run.json", "metrics.csv", "particles*.star", "analysis/*.*"]
    kept += [f"checkpoints/{name}.safetensors" for name in (last, "components", "refinement")]
    kept += [f"latents/{last}.parquet"]
    for pattern in kept:
        for file in run.path.glob(pattern):
            target = OUT / file.relative_to(run.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    info = json.loads((OUT / "run.json").read_text())
    info |= {"source": "particles_optimisation_set.star", "command": ["make_sample_run.py"]}
    (OUT / "run.json").write_text(json.dumps(info, indent=2) + "\n")
    for star in OUT.glob("*.star"):  # where the images were
        text = star.read_text().replace(f"{simulated / 'warptools'}/", "")
        star.write_text(text)
    for tomogram in sorted((simulated / "tomograms").glob("*.mrc")):
        _write_binned(tomogram, OUT / "tomograms" / tomogram.name)


def _write_binned(source: Path, target: Path) -> None:
    volume = read_volume(source)
    data = volume.data
    kept = tuple(slice(0, size // BIN * BIN) for size in data.shape)
    shape = [part for size in data.shape for part in (size // BIN, BIN)]
    binned = data[kept].reshape(shape).mean(axis=(1, 3, 5))
    greys = np.clip(binned / binned.std() * GREYS_PER_SIGMA, -127, 127)
    target.parent.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(target, overwrite=True) as mrc:
        mrc.set_data(np.rint(greys).astype(np.int8))
        mrc.voxel_size = volume.voxel_size_angstrom * BIN
    _without_date(target)


if __name__ == "__main__":
    sys.exit(main())
