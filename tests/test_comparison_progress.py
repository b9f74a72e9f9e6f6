"""One progress for a whole comparison, and how long it still takes."""

from __future__ import annotations

from itertools import pairwise

import pytest

from napari_tomodrgn.learn.runtime.events import WorkProgress
from napari_tomodrgn.work_status import ComparisonProgress

# Parts and their seconds, as a comparison of 200 particles took them on two cores.
TOOK = {
    "Reading images": 0.4,
    "Fitting tilt halves": 26.5,
    "Adding up images": 2.5,
    "Comparing": 3.4,
    "Reconstructing": 1.1,
}


@pytest.mark.parametrize("parts", [list(TOOK), ["Reading images", *list(TOOK)[2:]], list(TOOK)[3:]])
def test_a_comparison_is_one_progress_to_its_end(parts: list[str]) -> None:
    """All of it; with the tilt halves known from the run; with all images added up before."""
    progress, seconds, seen = ComparisonProgress(), 0.0, []
    whole = sum(TOOK[part] for part in parts)
    for part in parts:
        for done in range(11):
            at = seconds + TOOK[part] * done / 10
            progress.tell(WorkProgress(done, 10, part), at)
            seen.append((progress.fraction, progress.seconds_left, whole - at))
        seconds += TOOK[part]
    fractions = [one[0] for one in seen]
    assert all(b >= a for a, b in pairwise(fractions)) and fractions[-1] == pytest.approx(0.99)
    known = [(said, left) for _, said, left in seen if said is not None]
    soon = sum(whole - left < 3.0 for *_, left in seen)  # seconds that are too few to tell by
    assert len(known) >= 0.6 * (len(seen) - soon)
    for said, left in known[len(known) // 2 :]:
        assert said == pytest.approx(left, rel=0.5, abs=2.0)


def test_nothing_is_said_of_the_time_that_a_first_quarter_took() -> None:
    """It is there at once, while the next takes a minute: *about 1 s left* stood for that long."""
    progress = ComparisonProgress()
    progress.tell(WorkProgress(1, 4, "Comparing"), 0.2)
    assert progress.fraction == pytest.approx(1 / 6) and progress.seconds_left is None
    progress.tell(WorkProgress(2, 4, "Comparing"), 60.0)
    assert progress.seconds_left == pytest.approx(120.0)


def test_what_is_no_part_of_it_changes_nothing() -> None:
    progress = ComparisonProgress()
    progress.tell(WorkProgress(1, 2, "Choosing neighbours"), 3.0)
    assert (progress.fraction, progress.seconds_left) == (0.0, None)
