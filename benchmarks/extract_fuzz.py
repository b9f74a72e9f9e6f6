"""Damaged lists, alignments, CTFs and doses: read, or refused in one sentence; nothing may escape.

Run with ``python benchmarks/extract_fuzz.py [CASES] [SEED]`` (default 10,000). Hypothesis draws the
damage; each case reads everything of an extraction and places all particles. An escape is an
exception of another kind than `BadInputError`, a warning, or more than ten seconds of CPU time.
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

from damage import EDITS, edited

from napari_tomodrgn.errors import BadInputError
from napari_tomodrgn.extract.inputs import read_extraction
from napari_tomodrgn.extract.series import Conventions
from napari_tomodrgn.extract.settings import ExtractConfig
from napari_tomodrgn.synthetic import SimulationConfig, simulate
from napari_tomodrgn.synthetic.tilt_series.alignments import FORMS
from napari_tomodrgn.synthetic.tilt_series.lists import LISTS

SECONDS = 10
CTFS = {"imod": "ctf/imod", "aretomo": "ctf/aretomo", "warp": "alignments/warp"}


@dataclass
class Tally:
    """What came of the cases."""

    outcomes: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    escaped: dict[str, str] = field(default_factory=dict)
    slowest: tuple[float, str] = (0.0, "")


class TooSlow(Exception):
    """A case took longer than it may."""


def out_of_time(*_: object) -> None:
    """What the alarm does."""
    raise TooSlow


def setups(root: Path) -> list[tuple[ExtractConfig, list[Path]]]:
    """Settings by every alignment and list in turn, and the files that may be damaged."""
    folder = root / "tilt_series"
    made = []
    for number, name in enumerate(LISTS):
        for form in FORMS:
            family = "imod" if form == "imod" else "aretomo"
            ctf = folder / CTFS.get(form, "ctf/ctffind")
            config = ExtractConfig(
                particles=folder / "lists" / family / name,
                tilt_series=folder / "stacks",
                alignment=folder / "alignments" / form,
                ctf=ctf,
                dose=folder / "dose" / "mdoc",
                tomograms=root / "tomograms",
                box_px=16 + 2 * (number % 3),
            )
            files = [config.particles]
            files += [p for p in (folder / "alignments" / form).rglob("*") if p.is_file()]
            files += [*ctf.glob("TS_001*"), *(folder / "dose" / "mdoc").glob("TS_001*")]
            made.append((config, files))
    return made


def one_case(config: ExtractConfig, path: Path, content: bytes, tally: Tally) -> None:
    """Use files of which one is changed, and change it back."""
    before = path.read_bytes()
    path.write_bytes(content)
    started = time.process_time()
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        extraction = read_extraction(config)
        extraction.placed(Conventions(0, True, True, -1.0))
        tally.outcomes["read"] += 1
    except BadInputError as error:
        tally.outcomes["refused"] += 1
        tally.codes[error.code] += 1
        if not str(error).strip() or "\n" in str(error)[:-1]:
            tally.escaped["a sentence of several lines"] = repr(str(error))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        where = traceback.extract_tb(error.__traceback__)[-1]
        key = f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
        tally.escaped.setdefault(key, f"{path.name}: {traceback.format_exc()}")
        tally.outcomes["escaped"] += 1
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        path.write_bytes(before)
    took = time.process_time() - started
    if took > tally.slowest[0]:
        tally.slowest = (took, path.name)


def main() -> int:
    """Run the cases and print what came of them; 1 if something escaped."""
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    start = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", module="pydantic")
    signal.signal(signal.SIGVTALRM, out_of_time)
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        few = SimulationConfig(particles=12, tilts=5, box_size_px=16, states=1, tilt_series=True)
        for _ in simulate(root, few):
            pass
        ready = setups(root)

        @seed(start)
        @settings(
            max_examples=cases,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), EDITS)
        def damage(which: int, file: int, edits: list[object]) -> None:
            config, files = ready[which * 2654435761 % 2**32 % len(ready)]
            path = files[file * 2654435761 % 2**32 % len(files)]
            one_case(config, path, edited(path.read_bytes(), edits), tally)

        began = time.perf_counter()
        damage()
        took = time.perf_counter() - began
    total = sum(tally.outcomes.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{total} cases: {dict(tally.outcomes)}; slowest {tally.slowest[0]:.2f} s "
        f"({tally.slowest[1]}), {peak:.2f} GB, {took:.0f} s"
    )
    print(f"refusals: {dict(tally.codes.most_common())}")
    for key, told in tally.escaped.items():
        print(f"ESCAPED {key}\n{told}")
    return 1 if tally.escaped else 0


if __name__ == "__main__":
    sys.exit(main())
