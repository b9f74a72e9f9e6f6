"""The command line: what can be asked for. What is then done stands in the modules of commands.

Exits 0 on success, 2 on bad input with one line on stderr, 130 on Ctrl-C with everything saved.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from types import FrameType
from typing import Any

from napari_tomodrgn.cli.arguments import COMMANDS
from napari_tomodrgn.cli.ignored import given_names, refuse_ignored
from napari_tomodrgn.errors import BadInputError

# Modules of `cli.commands` with the functions of several commands; others have one of their own.
_MODULES = {
    **dict.fromkeys(("analyze", "import"), "analysis"),
    **dict.fromkeys(("decode", "embed"), "runs"),
    **dict.fromkeys(("traverse", "convergence"), "exploring"),
    **dict.fromkeys(("reconstruct", "simulate"), "sets"),
    **dict.fromkeys(("demo", "view"), "window"),
    **dict.fromkeys(("fsc", "mask"), "volumes"),
    **dict.fromkeys(("compare", "compare-runs", "shares", "trust", "report"), "compare"),
}
_STOPPED = "napari-tomodrgn: stopped."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is returned."""
    with _interrupts() as started:
        parser = make_parser()
        words = sys.argv[1:] if arguments is None else arguments
        options = parser.parse_args(words)
        # Late, so that --help does not wait for torch.
        module_name = _MODULES.get(options.command, options.command)
        module = import_module(f"napari_tomodrgn.cli.commands.{module_name}")
        command: Callable[[argparse.Namespace], int] = getattr(
            module, "run_" + options.command.replace("-", "_")
        )
        try:
            started()
            refuse_ignored(options, given_names(parser.commands[options.command], words))
            return command(options)
        except BadInputError as error:
            return _refuse(str(error))
        except KeyboardInterrupt:
            print(_STOPPED, file=sys.stderr)
            return 130
        except BrokenPipeError:
            # Whoever read our output (`| head`) has gone; that is no error of ours.
            sys.stderr.close()
            return 0
        except OSError as error:
            return _refuse(_words(error))
        except MemoryError:
            return _refuse("The memory of this computer is not enough.")


def _refuse(sentence: str) -> int:
    print(f"napari-tomodrgn{_which_process()}: {sentence}", file=sys.stderr)
    return 2


def _words(error: OSError) -> str:
    """What the operating system would not do, with which file."""
    about = f"{error.filename}: " if error.filename else ""
    return f"{about}{error.strerror or error}."


@contextmanager
def _interrupts() -> Iterator[Callable[[], None]]:
    """Answer Ctrl-C and SIGTERM in one line, from the first moment on.

    Until the function that is given is called nothing has been written, and the program ends at
    once: modules that are being imported answer an exception with errors of their own. Then both
    raise KeyboardInterrupt, so that half-written files are removed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, _end_at_once) for number in signals}

    def started() -> None:
        for number in signals:
            signal.signal(number, _interrupt)

    try:
        yield started
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_at_once(number: int, frame: FrameType | None) -> None:
    os.write(2, f"{_STOPPED}\n".encode())
    os._exit(130)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage text in front of it."""

    def __init__(self, prog: str, description: str) -> None:
        # A shortened option is a misspelt one as soon as another begins like it.
        super().__init__(prog=prog, description=description, allow_abbrev=False)
        self.commands: dict[str, argparse.ArgumentParser] = {}

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The options; of one that is unknown, the sentence names the nearest."""
        options, extra = self.parse_known_args(args, namespace)
        if extra:
            parser = self.commands.get(options.command, self)
            known = [flag for action in parser._actions for flag in action.option_strings]
            nearest = get_close_matches(extra[0], known, 1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            parser.error(f"unrecognized arguments: {' '.join(extra)}{hint}")
        return options


def _which_process() -> str:
    """Which of several processes speaks; nothing if there is one."""
    from napari_tomodrgn.learn.runtime.distributed import launch

    try:
        here = launch()
    except BadInputError:
        return ""
    return "" if here.size == 1 else f" (process {here.rank + 1} of {here.size})"


def make_parser() -> _Parser:
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
        one = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        parser.commands[name] = one
        fill(one)
    return parser
