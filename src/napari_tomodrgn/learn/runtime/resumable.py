"""Long pieces of work that are saved now and then, so that a kill costs little of them.

Training steps are kept in the resume file (`learn.run.checkpoint`). What goes before the first of
them and what follows the last one goes over the whole set as well, in parts whose results add up or
stand in a row: these are kept here, and a resumed run goes on from there, to the same bits.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import save_file

from napari_tomodrgn.files import written_atomically
from napari_tomodrgn.learn.runtime.tensors import load_tensors

if TYPE_CHECKING:
    from torch import Tensor


class ResumableWork:
    """One such piece.

    Parameters
    ----------
    path
        File to keep it in.
    work
        What is done, and with what: what was kept of other work is not gone on from.
    seconds
        How often it is kept.
    """

    def __init__(self, path: Path, work: str, seconds: float) -> None:
        self.path, self.work, self.seconds = path, work, seconds
        self._last = time.perf_counter()

    def load(self) -> tuple[int, dict[str, Tensor]]:
        """Read how many parts were done and their tensors, any shape; 0 and none if none were."""
        try:
            tensors, metadata = load_tensors(self.path)
            if metadata.get("work") != self.work:
                return 0, {}
            return int(metadata["done"]), tensors
        except (OSError, SafetensorError, KeyError, ValueError):
            return 0, {}  # worth no failure: it is done again

    def due(self, *, last: bool = False) -> bool:
        """Whether it is time to keep it.

        After the last part it is if the piece was kept before: what follows may be long, too.
        """
        late = time.perf_counter() - self._last >= self.seconds
        return late or (last and self.path.exists())

    def save(self, done: int, tensors: dict[str, Tensor]) -> None:
        """Write the tensors, of any shape, that have come of ``done`` parts."""
        plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        metadata = {"work": self.work, "done": str(done)}
        with written_atomically(self.path) as temporary:
            save_file(plain, temporary, metadata=metadata)
        self._last = time.perf_counter()
