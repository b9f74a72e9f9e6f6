"""Damaged files of every dialect: read, or refused in one sentence; nothing may escape.

Run with ``python benchmarks/fuzz.py [CASES] [SEED]`` (default 10,000). Hypothesis draws the damage:
words, lines and bytes of star files, star files from nothing, fields of MRC headers. Each case is
what commands do: read, check, read images, write a part and read that again; every hundredth that
is read goes through the physics of preflight as well. An escape is an exception of another kind
than `BadInputError`, a warning, more than ten seconds, or two gigabytes beyond what is there.
"""

from __future__ import annotations

import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from damage import EDITS, HEADERS, STARS, edited, put_to_use, with_header
from exports import WRITERS
from exports.world import make_world

from napari_tomodrgn.analysis.preflight import preflight
from napari_tomodrgn.errors import BadInputError

SECONDS = 10
BYTES = 2 << 30
PHYSICS_EVERY = 100


@dataclass
class Tally:
    """What came of the cases."""

    outcomes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    escaped: dict[str, str] = field(default_factory=dict)
    slowest: tuple[float, str] = (0.0, "")


class TooSlow(Exception):
    """A case took longer than it may."""


def out_of_time(*_: object) -> None:
    """What the alarm does."""
    raise TooSlow


def written_sets(folder: Path) -> dict[str, Path]:
    """A small set in every dialect; the file to open, by name."""
    world = make_world(folder / "world")
    return {name: write(world, folder / name).star for name, (_, write) in WRITERS.items()}


def one_case(star: Path, path: Path, content: bytes, tally: Tally, kind: str) -> None:
    """Use a set with one of its files changed, and change it back."""
    before = path.read_bytes()
    path.write_bytes(content)
    started = time.perf_counter()
    signal.alarm(SECONDS)
    try:
        found = put_to_use(star, star.parent / "out")
        outcome = "refused" if isinstance(found, BadInputError) else "read"
        read = tally.outcomes["read"] + tally.outcomes["read, physics"]
        if isinstance(found, BadInputError):
            tally.codes[found.code] += 1
        elif read % PHYSICS_EVERY == 0:
            outcome = "read, physics"
            for _ in preflight(found):
                pass
    except Exception:  # noqa: BLE001 whatever escapes is what is looked for
        outcome = "escaped"
        trace = traceback.format_exc()
        tally.escaped.setdefault("\n".join(trace.splitlines()[-3:]), f"{kind} of {path}\n{trace}")
    finally:
        signal.alarm(0)
        path.write_bytes(before)
    took = time.perf_counter() - started
    tally.outcomes[outcome] += 1
    tally.kinds[kind] += 1
    tally.slowest = max(tally.slowest, (took, f"{kind} of {path.name} ({outcome})"))


def run(sets: dict[str, Path], cases: int, number: int) -> Tally:
    """Draw the cases and count what comes of them."""
    tally = Tally()
    files = {
        name: (sorted(star.parent.rglob("*.star")), sorted(star.parent.rglob("*.mrc*")))
        for name, star in sets.items()
    }
    quietly = settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )

    @seed(number)
    @quietly
    @given(st.data())
    def draw(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(sets)))
        stars, stacks = files[name]
        # cryoSRPNT's star names the stacks of another set.
        kinds = ("text", "text", "text", "star", "header" if stacks else "text")
        kind = data.draw(st.sampled_from(kinds))
        path = data.draw(st.sampled_from(stacks if kind == "header" else stars))
        content = path.read_bytes()
        if kind == "text":
            content = edited(content, data.draw(EDITS))
        elif kind == "star":
            content = data.draw(STARS)
        else:
            cut = data.draw(st.sampled_from((1.0, 1.0, 0.999, 0.5, 0.0)))
            content = with_header(content, data.draw(HEADERS), cut)
        one_case(sets[name], path, content, tally, f"{name} {kind}")

    draw()
    return tally


def main() -> int:
    """Run the cases and print the counts; the exit status says whether any escaped."""
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    number = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    warnings.simplefilter("error")
    signal.signal(signal.SIGALRM, out_of_time)
    with tempfile.TemporaryDirectory() as folder:
        sets = written_sets(Path(folder))
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + BYTES, taken + BYTES))
        started = time.perf_counter()
        tally = run(sets, cases, number)
        took = time.perf_counter() - started
    for trace in tally.escaped.values():
        print(trace)
    total = sum(tally.outcomes.values())
    print(f"{total} cases in {took:.0f} s, seed {number}: {dict(tally.outcomes)}")
    print(f"escaped: {tally.outcomes['escaped']} ({len(tally.escaped)} kinds)")
    print(f"slowest: {tally.slowest[0]:.2f} s, {tally.slowest[1]}")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
    print(f"refused as: {dict(tally.codes.most_common())}")
    for kind in ("text", "star", "header"):
        print(f"  {kind}: {sum(n for k, n in tally.kinds.items() if k.endswith(kind))}")
    return 1 if tally.outcomes["escaped"] else 0


if __name__ == "__main__":
    sys.exit(main())
