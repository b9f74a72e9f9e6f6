"""The arguments of each command, and the table of commands that the parser is made from."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from napari_tomodrgn.cli.evidence_arguments import EVIDENCE_COMMANDS, add_nuisances
from napari_tomodrgn.cli.extract_arguments import add_extract_arguments
from napari_tomodrgn.cli.options import (
    add_binning,
    add_choice,
    add_conditions,
    add_groups,
    add_hand_and_sign,
    add_image_options,
    add_map_options,
    add_overwrite,
    add_shell_filter,
    add_source,
    natural_int,
    positive_float,
    positive_int,
    slurm_time,
    whole_number,
)
from napari_tomodrgn.cli.result_arguments import (
    add_columns_arguments,
    add_convergence_arguments,
    add_fsc_arguments,
    add_mask_arguments,
    add_place_arguments,
    add_select_arguments,
    add_share_arguments,
    add_traverse_arguments,
    add_volume_analysis,
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
    add_binning(parser)
    add_choice(parser)
    parser.add_argument(
        "--ids", action="store_true", help="print the ids of the particles, one a line, no more"
    )
    parser.add_argument(
        "--tomograms",
        metavar="DIR",
        type=Path,
        help="folder of reconstructed tomograms: do particles stand where they have density?",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="files and numbers only, no physics")


def _add_cluster_options(parser: argparse.ArgumentParser) -> None:
    slurm = parser.add_argument_group("on a cluster").add_argument
    slurm(
        "--slurm",
        metavar="FILE.sh",
        type=Path,
        help="do not train now, but write a SLURM script that does; submit it with sbatch",
    )
    add_overwrite(parser)
    slurm("--nodes", metavar="N", type=positive_int, default=1, help="nodes to ask for (1)")
    slurm("--gpus", metavar="N", type=natural_int, default=1, help="GPUs of each node (1; 0: CPUs)")
    slurm(
        "--time",
        metavar="T",
        type=slurm_time,
        default="24:00:00",
        help="time limit, as SLURM takes it: minutes, HH:MM:SS, D-HH … (24:00:00)",
    )


def _add_method(add: Callable[..., object]) -> None:
    """What is trained, and of what."""
    add(
        "--method",
        choices=["vae", "linear", "homogeneous"],
        help="what to train (default: vae); homogeneous: one map for all, by the decoder alone, "
        "with half maps and FSC, as reconstruct --method network",
    )
    add(
        "--latent-dim",
        metavar="N",
        type=positive_int,
        help="numbers that describe a particle (8)",
    )
    add(
        "--focus",
        metavar="MASK.mrc",
        type=Path,
        help="latents of what differs inside a mask only, by the linear method (see mask)",
    )


def _train(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    add = parser.add_argument
    add("--out", metavar="RUN", type=Path, required=True, help="run directory to make")
    add("--config", metavar="FILE", type=Path, help="TOML file of settings")
    _add_method(add)
    add("--epochs", metavar="N", type=positive_int, help="passes over all particles (30)")
    add("--batch-size", metavar="N", type=positive_int, help="particles in a step (4)")
    add("--seed", metavar="N", type=whole_number, help="same seed, same device: same result (0)")
    add("--device", choices=["auto", "cpu", "cuda", "mps"], help="where to compute (auto)")
    add_image_options(parser)
    add_binning(parser)
    add_choice(parser)
    add(
        "--resume",
        action="store_true",
        help="go on with the run in --out, as it was trained; --epochs may be more",
    )
    add(
        "--selections-of",
        metavar="RUN",
        type=Path,
        help="take over named selections and columns of another run, such as one of older poses, "
        "for the particles of the same ids",
    )
    _add_cluster_options(parser)


def _embed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory")
    add_source(parser, optional=True)
    parser.add_argument(
        "--epoch", metavar="N", type=natural_int, help="epoch to use (last); 0: the first look"
    )
    parser.add_argument(
        "--out", metavar="TABLE", type=Path, required=True, help="table to write, .parquet or .csv"
    )
    add_groups(parser.add_argument)
    add_choice(parser, tilts=False)
    add_overwrite(parser)


def _decode(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory")
    which = parser.add_argument_group("what is decoded").add_argument
    which("--particle", metavar="ID", nargs="+", help="these particles, as inspect names them")
    which(
        "--particles",
        metavar="FILE|all",
        type=Path,
        help="those of a list (.txt, an id a line), a table (.csv with particle_id) or a star "
        "file; or all",
    )
    add_groups(which)
    add_conditions(which)
    which("--tomogram", metavar="NAME", nargs="+", help="only particles of these tomograms")
    which(
        "--latents",
        metavar="FILE",
        type=Path,
        help="latents instead, one a row: .npy, .csv with or without column names mu_0 … or z_0 …, "
        "in any order, or .txt and .pkl of tomoDRGN",
    )
    add_overwrite(parser)
    add = parser.add_argument
    add("--out", metavar="DIR", type=Path, required=True, help="folder for the .mrc maps")
    add_map_options(add)
    add_hand_and_sign(add)


def _analyze(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory")
    add = parser.add_argument
    add("--epoch", metavar="N", type=natural_int, help="epoch to analyse (last); 0: the first look")
    add(
        "--clusters",
        metavar="K",
        type=positive_int,
        help="number of clusters (8; with --states at most so many, else all that are told apart)",
    )
    add("--seed", metavar="N", type=natural_int, default=0, help="of clusters and UMAP (0)")
    add("--overwrite", action="store_true", help="replace clusters and UMAP that were imported")
    how = parser.add_mutually_exclusive_group().add_argument
    how("--mixture", action="store_true", help="clusters by a mixture of Gaussians, not k-means")
    how(
        "--states",
        action="store_true",
        help="clusters by how sure each particle's latent is: many states of unequal size",
    )
    add("--tsne", action="store_true", help="t-SNE beside UMAP, as columns of the particles")
    add(
        "--class-images",
        action="store_true",
        help="a sheet of tilt images for each cluster (analysis/figures/cluster-01-images.png)",
    )
    add("--images", metavar="DIR", type=Path, help="folder of the image stacks, if they moved")
    add_shell_filter(add)
    add_volume_analysis(parser)


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
    add(
        "--method",
        choices=["average", "network"],
        default="average",
        help="average: back-projection (default); network: the decoder alone, trained on each half",
    )
    add("--epochs", metavar="N", type=positive_int, help="passes of --method network (20)")
    add("--lowpass", metavar="A", type=positive_float, help="cut map_filtered.mrc here, in Å")
    add(
        "--symmetry",
        metavar="GROUP",
        default="C1",
        help="point group of the molecule, C<n> (n-fold axis z) or D<n> (two-fold axis x): C1",
    )
    add_hand_and_sign(add)
    add_image_options(parser)
    add_binning(parser)
    add_choice(parser)
    add_overwrite(parser)


def _simulate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--out", metavar="DIR", type=Path, required=True, help="folder to make")
    add("--particles", metavar="N", type=positive_int, help="number of particles (500)")
    add("--tilts", metavar="N", type=positive_int, help="tilt images of each particle (41)")
    add("--box", metavar="N", type=positive_int, help="edge of the images in pixels, even (64)")
    add(
        "--molecule",
        choices=["ribosome", "envelope"],
        help="a ribosome, or a long molecule of a tenth of its mass (ribosome)",
    )
    add("--states", metavar="N", type=positive_int, help="discrete compositions, 1 to 5 (2)")
    add("--continuous", action="store_true", help="a continuous motion instead of states")
    add(
        "--assembly",
        type=int,
        choices=[16],
        help="sixteen stages of a ribosome's assembly, in unequal shares, instead of states",
    )
    add(
        "--snr",
        metavar="X",
        type=positive_float,
        help="variance of signal over that of noise (0.1)",
    )
    add(
        "--export",
        choices=["both", "warptools", "warp"],
        help="as WarpTools or as Warp writes it, or both (both)",
    )
    add("--seed", metavar="N", type=whole_number, help="same seed: same files (0)")
    add("--overwrite", action="store_true", help="replace an earlier simulation in that folder")
    add(
        "--tilt-series",
        action="store_true",
        help="also whole tilt images, with the alignment, list, CTF and dose of every program",
    )
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
    add_overwrite(parser)


COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "demo": ("simulate, check, train, analyse, then open napari on the result", _demo),
    "inspect": ("say what a star file holds and whether it is sane", _inspect),
    "train": ("learn what makes each particle different", _train),
    "embed": ("latents of particles, by a trained run", _embed),
    "decode": ("maps of particles or latents, by a trained run", _decode),
    "analyze": ("components, UMAP, clusters, their maps, traversals, audit of a run", _analyze),
    "reconstruct": ("half maps, map and FSC of particles, by back-projection", _reconstruct),
    "select": (
        "write some particles of a run or star file, all else untouched",
        add_select_arguments,
    ),
    "columns": ("list, add or write columns of a run's particles", add_columns_arguments),
    "place": (
        "maps or spheres at the particles' places in a tomogram",
        add_place_arguments,
    ),
    "import": ("make a run of a finished tomoDRGN result, its network with it", _import),
    "fsc": ("correlation of two maps, as a whole and by Fourier shell", add_fsc_arguments),
    "extract": (
        "cut 2-D tilt images out of tilt series, from any averaging package's list",
        add_extract_arguments,
    ),
    "share": ("one file of a run to hand on, without images", add_share_arguments),
    "mask": ("a region of a map, to focus on", add_mask_arguments),
    "traverse": ("maps along a component or between particles", add_traverse_arguments),
    "convergence": ("what latents and maps did from epoch to epoch", add_convergence_arguments),
    "simulate": ("write a data set with known states", _simulate),
    **EVIDENCE_COMMANDS,
    "doctor": (
        "versions, card, OpenGL and memory of this computer, for bug reports",
        _doctor,
    ),
    "view": ("open napari on a star file, run or tomogram", _view),
}
