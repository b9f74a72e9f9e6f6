"""The arguments of each command, and the table of commands that the parser is made from."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from napari_tomodrgn.cli.evidence_arguments import EVIDENCE_COMMANDS, add_nuisances
from napari_tomodrgn.cli.options import (
    add_image_options,
    add_source,
    cluster_numbers,
    natural_int,
    positive_float,
    positive_int,
)


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("demo-output"), help="folder to write to"
    )
    parser.add_argument("--no-view", action="store_true", help="do not open a window at the end")
    parser.add_argument(
        "--screenshot", metavar="FILE", type=Path, help="save a picture of the window, then leave"
    )


def _inspect(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    add_image_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="files and numbers only, no physics")


def _train(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    add = parser.add_argument
    add("--out", metavar="RUN", type=Path, required=True, help="run directory to make")
    add("--config", metavar="FILE", type=Path, help="TOML file of settings")
    add("--method", choices=["vae", "linear"], help="what to train (default: vae)")
    add(
        "--latent-dim",
        metavar="N",
        type=positive_int,
        help="numbers that describe a particle (8)",
    )
    add("--epochs", metavar="N", type=positive_int, help="passes over all particles (30)")
    add("--batch-size", metavar="N", type=positive_int, help="particles in a step (4)")
    add("--seed", metavar="N", type=int, help="same seed, same device: same result (0)")
    add("--device", choices=["auto", "cpu", "cuda", "mps"], help="where to compute (auto)")
    add_image_options(parser)
    add("--particles", metavar="FILE", type=Path, help="text file of particle ids, one a line")
    add("--resume", action="store_true", help="go on with the run in --out")
    slurm = parser.add_argument_group("on a cluster").add_argument
    slurm(
        "--slurm",
        metavar="FILE.sh",
        type=Path,
        help="do not train now, but write a SLURM script that does; submit it with sbatch",
    )
    slurm("--nodes", metavar="N", type=positive_int, default=1, help="nodes to ask for (1)")
    slurm("--gpus", metavar="N", type=natural_int, default=1, help="GPUs of each node (1; 0: CPUs)")
    slurm(
        "--time", metavar="T", default="24:00:00", help="time limit, as SLURM takes it (24:00:00)"
    )


def _embed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory")
    add_source(parser, optional=True)
    parser.add_argument("--epoch", metavar="N", type=positive_int, help="epoch to use (last)")
    parser.add_argument(
        "--out", metavar="TABLE", type=Path, required=True, help="table to write, .parquet or .csv"
    )


def _decode(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--particle", metavar="ID", nargs="+", help="particles to decode, as inspect names them"
    )
    which.add_argument(
        "--latents",
        metavar="FILE",
        type=Path,
        help="latents to decode, one a row: .npy, or .csv with or without column names mu_0 …",
    )
    add = parser.add_argument
    add("--out", metavar="DIR", type=Path, required=True, help="folder for the .mrc maps")
    add(
        "--box",
        metavar="N",
        type=positive_int,
        help="edge of the maps in voxels, even (as trained)",
    )
    add("--lowpass", metavar="A", type=positive_float, help="resolution to cut the maps at, in Å")
    add("--epoch", metavar="N", type=positive_int, help="epoch to use (last)")
    add("--device", choices=["auto", "cpu", "cuda", "mps"], default="auto")


def _analyze(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory")
    add = parser.add_argument
    add("--epoch", metavar="N", type=positive_int, help="epoch to analyse (last)")
    add("--clusters", metavar="K", type=positive_int, default=8, help="number of clusters (8)")
    add("--seed", metavar="N", type=int, default=0, help="of clusters and UMAP (0)")
    add("--overwrite", action="store_true", help="replace clusters and UMAP that were imported")


def _import(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("result", metavar="RESULT_DIR", type=Path, help="folder that tomodrgn train_vae wrote")
    add("--out", metavar="RUN", type=Path, required=True, help="run directory to make")
    add("--source", metavar="STAR", type=Path, help="star file of the particles, if it moved")
    add("--images", metavar="DIR", type=Path, help="folder of the image stacks, if they moved")


def _reconstruct(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    add = parser.add_argument
    add("--out", metavar="DIR", type=Path, required=True, help="folder for maps and FSC curve")
    add("--particles", metavar="FILE", type=Path, help="text file of particle ids, one a line")
    add_image_options(parser)


def _select(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--clusters",
        metavar="1,4",
        type=cluster_numbers,
        help="particles of these clusters (analysis/clusters.csv of the run)",
    )
    which.add_argument(
        "--selection", metavar="NAME", help="named selection (analysis/selections of the run)"
    )
    which.add_argument(
        "--particles", metavar="FILE", type=Path, help="text file of particle ids, one a line"
    )
    add = parser.add_argument
    add("--out", metavar="FILE.star", type=Path, required=True, help="star file to write")
    add("--invert", action="store_true", help="all other particles instead")
    add("--images", metavar="DIR", type=Path, help="folder of the image stacks, if they moved")


def _place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory")
    add = parser.add_argument
    add("--tomogram", metavar="NAME", required=True, help="tomogram, as inspect names it")
    add("--out", metavar="DIR", type=Path, required=True, help="folder for script, maps and mesh")
    add("--by-cluster", action="store_true", help="one map a cluster, of its mean latent")
    add("--color", metavar="COLUMN", help="colour by mu_0 …, cluster or a column of the particles")
    add("--sigma", metavar="S", type=positive_float, default=3.0, help="contour, in sigma (3)")
    add("--particles", metavar="FILE", type=Path, help="text file of particle ids, one a line")
    add(
        "--box",
        metavar="N",
        type=positive_int,
        help="edge of the maps in voxels, even (as trained)",
    )
    add("--lowpass", metavar="A", type=positive_float, help="resolution to cut the maps at, in Å")
    add("--epoch", metavar="N", type=positive_int, help="epoch to use (last)")
    add("--images", metavar="DIR", type=Path, help="folder of the image stacks, if they moved")
    add("--device", choices=["auto", "cpu", "cuda", "mps"], default="auto")


def _simulate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--out", metavar="DIR", type=Path, required=True, help="folder to make")
    add("--particles", metavar="N", type=positive_int, help="number of particles (500)")
    add("--tilts", metavar="N", type=positive_int, help="tilt images of each particle (41)")
    add("--box", metavar="N", type=positive_int, help="edge of the images in pixels, even (64)")
    add("--states", metavar="N", type=positive_int, help="discrete compositions, 1 to 5 (2)")
    add("--continuous", action="store_true", help="a continuous motion instead of states")
    add(
        "--snr",
        metavar="X",
        type=positive_float,
        help="variance of signal over that of noise (0.1)",
    )
    add("--seed", metavar="N", type=int, help="same seed: same files (0)")
    add_nuisances(parser)


def _doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path(), help="folder to be written to (here)"
    )


def _view(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths", metavar="PATH", type=Path, nargs="*", help="star file, run directory or tomogram"
    )
    parser.add_argument(
        "--screenshot", metavar="FILE", type=Path, help="save a picture of the window, then leave"
    )


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "demo": ("simulate, check, train, analyse, then open napari on the result", _demo),
    "inspect": ("say what a star file holds and whether it is sane", _inspect),
    "train": ("learn what makes each particle different", _train),
    "embed": ("latents of particles, by a trained run", _embed),
    "decode": ("maps of particles or latents, by a trained run", _decode),
    "analyze": ("components, UMAP, clusters, their maps, traversals, audit of a run", _analyze),
    "reconstruct": ("half maps, map and FSC of particles, by back-projection", _reconstruct),
    "select": ("write some particles of a run back as the star file they came from", _select),
    "place": ("decoded maps at their poses in a tomogram, for ChimeraX and as a mesh", _place),
    "import": ("make a run of a finished tomoDRGN result, its network with it", _import),
    "simulate": ("write a data set with known states", _simulate),
    **EVIDENCE_COMMANDS,
    "doctor": (
        "versions, card, OpenGL and memory of this computer, for bug reports",
        _doctor,
    ),
    "view": ("open napari on a star file, run or tomogram", _view),
}
