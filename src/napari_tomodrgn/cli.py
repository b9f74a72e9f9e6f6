"""The command line: what can be asked for. What is then done stands in `commands`.

Exits 0 on success, 2 on bad input with one line on stderr, 130 on Ctrl-C with everything saved.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from napari_tomodrgn.errors import BadInputError

YES_NO = {"yes": True, "no": False}
# Of commands whose name no function can bear.
_FUNCTIONS = {"import": "import_result"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is returned."""
    options = _parser().parse_args(arguments)
    # Late, so that --help does not wait for torch.
    from napari_tomodrgn import commands

    name = _FUNCTIONS.get(options.command, options.command)
    command: Callable[[argparse.Namespace], int] = getattr(commands, name)
    try:
        return command(options)
    except BadInputError as error:
        print(f"napari-tomodrgn{_which_process()}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("napari-tomodrgn: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output (`| head`) has gone; that is no error of ours.
        sys.stderr.close()
        return 0


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage text in front of it."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _which_process() -> str:
    """Which of several processes speaks; nothing if there is one."""
    from napari_tomodrgn.learn.runtime.distributed import launch

    try:
        here = launch()
    except BadInputError:
        return ""
    return "" if here.size == 1 else f" (process {here.rank + 1} of {here.size})"


def _parser() -> argparse.ArgumentParser:
    from napari_tomodrgn import __version__

    parser = _Parser(
        prog="napari-tomodrgn",
        description="Heterogeneity of molecules in cells by cryo-ET, particle by particle.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(
        required=True, metavar="COMMAND", dest="command", parser_class=_Parser
    )
    for name, (text, fill) in _COMMANDS.items():
        fill(commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + "."))
    return parser


def _source(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    parser.add_argument(
        "source",
        metavar="SOURCE",
        type=Path,
        nargs="?" if optional else None,
        help="star file of particles, or optimisation set",
    )
    parser.add_argument(
        "--images",
        metavar="DIR",
        type=Path,
        help="folder to look for image stacks in, if they are not where the star file says",
    )
    parser.add_argument(
        "--dialect", metavar="NAME", help="which program wrote the star file (default: recognised)"
    )
    _overrides(parser)


def _overrides(parser: argparse.ArgumentParser) -> None:
    """What the user knows better than the star file; a run remembers it."""
    add = parser.add_argument
    add(
        "--pixel-size",
        metavar="A",
        type=_positive,
        help="pixel size of the images in Å, instead of the star file's",
    )
    add(
        "--hand",
        type=int,
        choices=[-1, 1],
        help="instead of rlnTomoHand: the other one turns the sign of what a particle's height in "
        "its tomogram adds to the defocus",
    )
    add(
        "--dose-per-tilt",
        metavar="E",
        type=_positive,
        help="dose of one tilt image in e/Å²; doses are built up anew, in the order of those in "
        "the file, where it has none of rlnTomoTiltMovieIndex, else of its rows",
    )
    add(
        "--column",
        metavar="NAME=COLUMN",
        type=_meaning,
        action="append",
        help="read a column instead of the one of this name, for example "
        "rlnDefocusU=myDefocus; may be given several times",
    )


def _meaning(text: str) -> tuple[str, str]:
    name, equals, column = text.partition("=")
    if not (name and equals and column):
        raise argparse.ArgumentTypeError(f"must be of the form NAME=COLUMN, got {text}")
    return name, column


def _filters(parser: argparse.ArgumentParser) -> None:
    """What was done to the images before; a run remembers it."""
    add = parser.add_argument
    add(
        "--contrast",
        choices=["auto", "keep", "invert"],
        help="sign of the images; auto, the default, decides by a quick reconstruction",
    )
    add(
        "--ctf-premultiplied",
        choices=list(YES_NO),
        help="whether the images were multiplied by their CTF; else as the star file says",
    )
    add(
        "--dose-weighted",
        choices=list(YES_NO),
        help="whether the images were filtered by dose; else as the star file says",
    )


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must not be negative, got {value}")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"must be larger than 0, got {text}")
    return value


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("demo-output"), help="folder to write to"
    )
    parser.add_argument("--no-view", action="store_true", help="do not open a window at the end")
    parser.add_argument(
        "--screenshot", metavar="FILE", type=Path, help="save a picture of the window, then leave"
    )


def _inspect(parser: argparse.ArgumentParser) -> None:
    _source(parser)
    _filters(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="files and numbers only, no physics")


def _train(parser: argparse.ArgumentParser) -> None:
    _source(parser)
    add = parser.add_argument
    add("--out", metavar="RUN", type=Path, required=True, help="run directory to make")
    add("--config", metavar="FILE", type=Path, help="TOML file of settings")
    add("--method", choices=["vae", "linear"], help="what to train (default: vae)")
    add("--latent-dim", metavar="N", type=_count, help="numbers that describe a particle (8)")
    add("--epochs", metavar="N", type=_count, help="passes over all particles (30)")
    add("--batch-size", metavar="N", type=_count, help="particles in a step (4)")
    add("--seed", metavar="N", type=int, help="same seed, same device: same result (0)")
    add("--device", choices=["auto", "cpu", "cuda", "mps"], help="where to compute (auto)")
    _filters(parser)
    add("--particles", metavar="FILE", type=Path, help="text file of particle ids, one a line")
    add("--resume", action="store_true", help="go on with the run in --out")
    slurm = parser.add_argument_group("on a cluster").add_argument
    slurm(
        "--slurm",
        metavar="FILE.sh",
        type=Path,
        help="do not train now, but write a SLURM script that does; submit it with sbatch",
    )
    slurm("--nodes", metavar="N", type=_count, default=1, help="nodes to ask for (1)")
    slurm("--gpus", metavar="N", type=_natural, default=1, help="GPUs of each node (1; 0: CPUs)")
    slurm(
        "--time", metavar="T", default="24:00:00", help="time limit, as SLURM takes it (24:00:00)"
    )


def _embed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory")
    _source(parser, optional=True)
    parser.add_argument("--epoch", metavar="N", type=_count, help="epoch to use (last)")
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
    add("--box", metavar="N", type=_count, help="edge of the maps in voxels, even (as trained)")
    add("--lowpass", metavar="A", type=_positive, help="resolution to cut the maps at, in Å")
    add("--epoch", metavar="N", type=_count, help="epoch to use (last)")
    add("--device", choices=["auto", "cpu", "cuda", "mps"], default="auto")


def _analyze(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory")
    add = parser.add_argument
    add("--epoch", metavar="N", type=_count, help="epoch to analyse (last)")
    add("--clusters", metavar="K", type=_count, default=8, help="number of clusters (8)")
    add("--seed", metavar="N", type=int, default=0, help="of clusters and UMAP (0)")


def _import(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("result", metavar="RESULT_DIR", type=Path, help="folder that tomodrgn train_vae wrote")
    add("--out", metavar="RUN", type=Path, required=True, help="run directory to make")
    add("--source", metavar="STAR", type=Path, help="star file of the particles, if it moved")
    add("--images", metavar="DIR", type=Path, help="folder of the image stacks, if they moved")


def _reconstruct(parser: argparse.ArgumentParser) -> None:
    _source(parser)
    add = parser.add_argument
    add("--out", metavar="DIR", type=Path, required=True, help="folder for maps and FSC curve")
    add("--particles", metavar="FILE", type=Path, help="text file of particle ids, one a line")
    _filters(parser)


def _cluster_numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be numbers such as 1,4, got {text}") from error


def _select(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", type=Path, help="run directory")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--clusters",
        metavar="1,4",
        type=_cluster_numbers,
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
    add("--sigma", metavar="S", type=_positive, default=3.0, help="contour, in sigma (3)")
    add("--particles", metavar="FILE", type=Path, help="text file of particle ids, one a line")
    add("--box", metavar="N", type=_count, help="edge of the maps in voxels, even (as trained)")
    add("--lowpass", metavar="A", type=_positive, help="resolution to cut the maps at, in Å")
    add("--epoch", metavar="N", type=_count, help="epoch to use (last)")
    add("--images", metavar="DIR", type=Path, help="folder of the image stacks, if they moved")
    add("--device", choices=["auto", "cpu", "cuda", "mps"], default="auto")


def _simulate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--out", metavar="DIR", type=Path, required=True, help="folder to make")
    add("--particles", metavar="N", type=_count, help="number of particles (500)")
    add("--tilts", metavar="N", type=_count, help="tilt images of each particle (41)")
    add("--box", metavar="N", type=_count, help="edge of the images in pixels, even (64)")
    add("--states", metavar="N", type=_count, help="discrete compositions, 1 to 5 (2)")
    add("--continuous", action="store_true", help="a continuous motion instead of states")
    add("--snr", metavar="X", type=_positive, help="variance of signal over that of noise (0.1)")
    add("--seed", metavar="N", type=int, help="same seed: same files (0)")


def _view(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths", metavar="PATH", type=Path, nargs="*", help="star file, run directory or tomogram"
    )
    parser.add_argument(
        "--screenshot", metavar="FILE", type=Path, help="save a picture of the window, then leave"
    )


_COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "demo": ("simulate, check, train, analyse, then open napari on the result", _demo),
    "inspect": ("say what a star file holds and whether it is sane", _inspect),
    "train": ("learn what makes each particle different", _train),
    "embed": ("latents of particles, by a trained run", _embed),
    "decode": ("maps of particles or latents, by a trained run", _decode),
    "analyze": ("components, UMAP, clusters, their maps, traversals, audit of a run", _analyze),
    "reconstruct": ("half maps, map and FSC of particles, by back-projection", _reconstruct),
    "select": ("write some particles of a run back as the star file they came from", _select),
    "place": ("decoded maps at their poses in a tomogram, for ChimeraX and as a mesh", _place),
    "import": ("make a run of a finished tomoDRGN result: its latents, not its network", _import),
    "simulate": ("write a data set with known states", _simulate),
    "view": ("open napari on a star file, run or tomogram", _view),
}
