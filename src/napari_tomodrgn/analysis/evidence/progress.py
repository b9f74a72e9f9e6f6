"""How far a comparison is as a whole, and how long it still takes: from its events alone."""

from __future__ import annotations

from napari_tomodrgn.learn.runtime.events import WorkProgress

# What parts take, one against the other: means of 120, 200 and 600 particles of 21 tilts, box 32,
# on two cores (26, 34 and 90 s). Those of a second comparison are only the last two.
_PARTS = {
    "Reading images": 1.0,
    "Fitting tilt halves": 74.0,
    "Adding up images": 10.0,
    "Comparing": 10.0,
    "Reconstructing": 5.0,
}
# Nothing is said of the time left before so much of all was seen.
_LEAST_SEEN = 0.05
_NEARLY = 0.99  # no more before the end


class ComparisonProgress:
    """Follows `gather_evidence` and `compare_groups`; a part that does not come counts nothing.

    Attributes
    ----------
    fraction
        Of the whole, 0 to 1; it never falls.
    seconds_left
        Until there is a result; None while too little was seen.
    """

    def __init__(self) -> None:
        self.fraction = 0.0
        self.seconds_left: float | None = None
        self._part, self._done = "", 0.0

    def tell(self, event: WorkProgress, seconds: float) -> None:
        """Take in an event that came so many seconds after the comparison was asked for."""
        part, share = event.what, event.done / max(event.total, 1)
        if part not in _PARTS:
            return
        if part != self._part:
            self._done += _PARTS.get(self._part, 0.0)
            self._part = part
        order = list(_PARTS)
        later = sum(_PARTS[one] for one in order[order.index(part) + 1 :])
        done = self._done + share * _PARTS[part]
        ahead = (1 - share) * _PARTS[part] + later
        seen = done / (done + ahead)
        self.fraction = max(self.fraction, min(seen, _NEARLY))
        self.seconds_left = seconds * (1 - seen) / seen if seen >= _LEAST_SEEN else None
