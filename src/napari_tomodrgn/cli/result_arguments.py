"""The arguments of the commands about what came out of a run, and about maps and tables."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from napari_tomodrgn.cli.options import (
    add_choice,
    add_conditions,
    add_groups,
    add_map_options,
    add_overwrite,
    add_particles,
    natural_int,
    number,
    positive_float,
    positive_int,
)


def add_select_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "source",
        metavar="SOURCE",
        type=Path,
        help="run directory, star file of particles, or optimisation set",
    )
    add_groups(add)
    add_choice(parser)
    add_overwrite(parser)
    add(
        "--star",
        metavar="FILE.star",
        type=Path,
        help="write rows of this star file, of the same particles with, say, new poses",
    )
    add(
        "--out",
        metavar="FILE",
        type=Path,
        required=True,
        help="file to write: .star, or an index for tomoDRGN and cryoDRGN (.pkl, .npy)",
    )
    add("--per-tomogram", action="store_true", help="one star file a tomogram")
    add("--invert", action="store_true", help="all other particles instead")
    add("--images", metavar="DIR", type=Path, help="folder of the image stacks, if they moved")


def add_columns_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory")
    add = parser.add_argument
    add(
        "--add",
        metavar="FILE",
        type=Path,
        action="append",
        help="table to join: .csv, .tsv or .txt with a column particle_id, .star of the particles, "
        "or .npy and .pkl with one row a particle of the star file",
    )
    add("--overwrite", action="store_true", help="replace columns or a file of the same names")
    add(
        "--out",
        metavar="FILE",
        type=Path,
        help="file to write: .csv, .tsv, .parquet; of one column labels for tomoDRGN (.pkl, .npy)",
    )
    add("--column", metavar="NAME", action="append", help="column to write (all)")


def add_fsc_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("first", metavar="A.mrc", type=Path, help="a map")
    add("second", metavar="B.mrc", type=Path, help="another one of the same box")
    add(
        "--mask",
        metavar="MASK",
        default="none",
        help="none (default), sphere, tight or soft (around the density of both), or a mask's file",
    )
    add(
        "--pixel-size", metavar="A", type=positive_float, help="voxel size in Å, if the headers lie"
    )
    add("--out", metavar="FILE.csv", type=Path, help="table to write the curve to")
    add_overwrite(parser)


def _add_maps_and_places(add: Callable[..., object]) -> None:
    """What stands at the places, and where these are, without a network."""
    add("--consensus", action="store_true", help="one map for all, of the mean latent")
    add(
        "--map",
        metavar="[VALUE=]FILE",
        action="append",
        help="a map for all particles instead of decoded ones, or one for each value of --map-by",
    )
    add("--map-by", metavar="COLUMN", default="cluster", help="column whose values name maps")
    add("--markers", action="store_true", help="spheres instead of maps")
    add("--radius", metavar="A", type=positive_float, default=100.0, help="of spheres, in Å (100)")
    add(
        "--places",
        metavar="VOLUMES.star",
        type=Path,
        help="star file that holds coordinates and angles, for tilt images that have none (Warp, "
        "M, cryoSRPNT, nextPYP)",
    )
    add(
        "--places-pixel-size",
        metavar="A",
        type=positive_float,
        help="pixel of its coordinates in Å, where it does not say",
    )


def add_place_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", metavar="SOURCE", type=Path, help="run directory, or star file with --map")
    add("--tomogram", metavar="NAME", required=True, help="tomogram, as inspect names it")
    add("--out", metavar="DIR", type=Path, required=True, help="folder for script, maps and mesh")
    _add_maps_and_places(add)
    add("--by-cluster", action="store_true", help="one map a cluster, of its mean latent")
    add("--color", metavar="COLUMN", help="colour by mu_0 …, cluster or a column of the particles")
    add("--sigma", metavar="S", type=positive_float, default=3.0, help="contour, in sigma (3)")
    add_particles(add)
    add_groups(add)
    add_conditions(add)
    add_overwrite(parser)
    add_map_options(add)
    add("--images", metavar="DIR", type=Path, help="folder of the image stacks, if they moved")


def add_volume_analysis(parser: argparse.ArgumentParser) -> None:
    """Of `analyze`: voxels of decoded maps instead of latents."""
    add = parser.add_argument_group("analysis of decoded volumes").add_argument
    add("--volumes", action="store_true", help="analyse voxels of decoded maps, not latents")
    add(
        "--mask",
        metavar="MASK",
        default="soft",
        help="none, sphere, tight or soft (around the density, default), or a mask's file",
    )
    add(
        "--sample",
        metavar="N",
        type=natural_int,
        help="decode so many particles, spread over the run (1000; 0: all)",
    )
    add("--box", metavar="N", type=positive_int, help="edge of the maps in voxels, even (32)")
    add("--no-umap", action="store_true", help="leave UMAP out, which takes ten seconds and more")


def _limit(text: str) -> float:
    """Read a percentile to begin at; at 50 begin and end are one, and beyond they are swapped."""
    value = number(text)
    if not 0 < value < 50:
        raise argparse.ArgumentTypeError(f"must be above 0 and below 50, got {text}")
    return value


def add_traverse_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--component", metavar="K", type=positive_int, help="along this principal component, from 1"
    )
    which.add_argument(
        "--through",
        metavar="ID",
        nargs="+",
        help="along neighbouring particles from the first of these through the others",
    )
    add = parser.add_argument
    add("--out", metavar="DIR", type=Path, required=True, help="folder for latents.csv and maps")
    add("--frames", metavar="N", type=positive_int, default=10, help="maps along a component (10)")
    add(
        "--limits",
        metavar="P",
        type=_limit,
        default=5.0,
        help="percentile at which a component begins, and from the end, below 50 (5)",
    )
    add("--on-data", action="store_true", help="the particles nearest to the component's axis")
    add(
        "--neighbors",
        metavar="N",
        type=positive_int,
        default=12,
        help="particles that each is joined to on a way through particles (12)",
    )
    add_map_options(add)
    add_overwrite(parser)


def add_convergence_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory")
    add = parser.add_argument
    add("--maps", metavar="N", type=positive_int, default=6, help="particles to follow (6)")
    add("--every", metavar="N", type=positive_int, default=1, help="each so many-th epoch (1)")
    add("--box", metavar="N", type=positive_int, help="edge of the maps in voxels (as trained)")


def add_share_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory")
    add = parser.add_argument
    add("--out", metavar="FILE.tomodrgn", type=Path, required=True, help="file to write")
    add_overwrite(parser)


def add_mask_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("map", metavar="MAP.mrc", type=Path, help="map whose box the mask gets")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--sphere",
        metavar=("X", "Y", "Z", "R"),
        type=number,
        nargs=4,
        help="centre and radius in Å from the map's first voxel, as ChimeraX shows them",
    )
    which.add_argument(
        "--cuboid",
        metavar=("X1", "Y1", "Z1", "X2", "Y2", "Z2"),
        type=number,
        nargs=6,
        help="two corners, likewise",
    )
    which.add_argument(
        "--difference",
        metavar="OTHER.mrc",
        type=Path,
        help="around the largest blob in which this map differs from the other",
    )
    add = parser.add_argument
    add("--sigma", metavar="S", type=positive_float, default=3.0, help="of --difference (3)")
    add(
        "--pixel-size", metavar="A", type=positive_float, help="voxel size in Å, if the header lies"
    )
    add("--out", metavar="MASK.mrc", type=Path, required=True, help="mask to write")
    add_overwrite(parser)
