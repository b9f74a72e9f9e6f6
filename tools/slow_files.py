"""Which files of tests the quick run leaves out: ``python tools/slow_files.py REPORT.xml``.

Of a report of the whole suite (``make test PYTEST_ARGS="--junitxml=REPORT.xml"``), the files that
take longest, until what is left takes three minutes of one core. Writes ``tests/slow_files.txt``,
whose tests are marked slow; a file is left out whole, as its tests share what they wait for.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

_SECONDS_LEFT = 180.0


def main() -> None:
    """Write the list."""
    root, seconds = Path(__file__).resolve().parents[1], Counter[str]()
    for case in ElementTree.parse(sys.argv[1]).getroot().iter("testcase"):
        seconds[str(case.get("classname"))] += float(case.get("time", "0"))
    left, slow = sum(seconds.values()), list[str]()
    for name, spent in seconds.most_common():
        if left <= _SECONDS_LEFT:
            break
        left -= spent
        slow.append(name.replace(".", "/") + ".py")
    text = "".join(f"{name}\n" for name in sorted(slow))
    (root / "tests" / "slow_files.txt").write_text(text, encoding="utf-8")
    print(f"{len(slow)} files are slow; the others take {left:.0f} s of one core")


if __name__ == "__main__":
    main()
