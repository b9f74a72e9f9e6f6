"""The command line: what can be asked for. What is then done stands in the modules of commands.

Exits 0 on success, 2 on bad input with one line on stderr, 130 on Ctrl-C with everything saved.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from napari_tomodrgn.cli.arguments import COMMANDS
from napari_tomodrgn.errors import BadInputError

# Of commands whose name no function can bear.
_FUNCTIONS = {"import": "import_result", "compare-runs": "compare_runs"}
# Of commands that stand elsewhere than in `commands`: the doctor has to work where torch does not.
_MODULES = {"doctor": "doctor"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is returned."""
    options = make_parser().parse_args(arguments)
    try:
        # Late, so that --help does not wait for torch.
        module = import_module(f"napari_tomodrgn.cli.{_MODULES.get(options.command, 'commands')}")
        name = _FUNCTIONS.get(options.command, options.command)
        command: Callable[[argparse.Namespace], int] = getattr(module, name)
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


def make_parser() -> argparse.ArgumentParser:
    from napari_tomodrgn import __version__

    parser = _Parser(
        prog="napari-tomodrgn",
        description="Heterogeneity of molecules in cells by cryo-ET, particle by particle.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(
        required=True, metavar="COMMAND", dest="command", parser_class=_Parser
    )
    for name, (text, fill) in COMMANDS.items():
        fill(commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + "."))
    return parser
