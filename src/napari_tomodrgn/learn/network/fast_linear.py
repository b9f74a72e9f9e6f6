"""Linear layers over many rows, by whichever product is faster on this machine.

On a CPU a linear layer over rows can be run as a matrix product (``nn.Linear``, which goes to MKL)
or as a convolution of 1 × 1 pixels (which goes to oneDNN). Which is faster depends on the
processor: on one of AMD with AVX-512 the convolution, as MKL leaves half of that unused there; on
one without, the product by a factor of two (``docs/benchmarks.md``). So both are timed once for
each shape class, and the faster one is kept for the machine: forward and backward where gradients
are asked for, forward alone where they are not, as maps are decoded. Both give the same to
rounding; a run writes down which it was trained with, so that it resumes to the same bits.
Elsewhere than on a CPU, and under autocast, rows stay rows.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from functools import lru_cache
from itertools import product
from pathlib import Path

import torch
import torch.nn.functional as functional
from torch import Tensor

from napari_tomodrgn.files import user_cache_dir, write_text

PRODUCT, CONVOLUTION = "product", "convolution"
# Images of one batch of the convolution: with one thread, PyTorch asks oneDNN only from 16 on.
_IMAGES = 16
# Fewer rows than this are not worth it.
_MIN_ROWS = 64
# Classes of row counts, by their least number, and how many rows stand for each. There is one: with
# two, which product was taken depended on how many particles were embedded together, and a latent
# on its neighbours, by 3e-3 of its width (refining multiplies rounding); with one, by 4e-5.
_TIMED_ROWS = {_MIN_ROWS: 2048}
# Forward alone it is as many as are decoded at a time.
_TIMED_ROWS_FORWARD = 4096
_REPEATS = 5  # of each way, after one to warm up; the shortest counts

# From rows, width, and whether gradients are asked for, to the seconds of (product, convolution).
Timer = Callable[[int, int, bool], tuple[float, float]]


class ProductTable:
    """Which product to use for which shape class on this machine.

    Parameters
    ----------
    choices
        What was chosen before, by `shape_class`; a run's own comes first, then the machine's.
    file
        Where the machine's choices are kept; None keeps none.
    timer
        Times both, if neither knows.
    """

    def __init__(
        self,
        choices: dict[str, str] | None = None,
        *,
        file: Path | None = None,
        timer: Timer | None = None,
    ) -> None:
        self.choices = dict(choices or {})
        self._file = file
        self._timer = timer or time_products

    @classmethod
    def of_machine(cls, choices: dict[str, str] | None = None) -> ProductTable:
        """The table whose new choices are shared by all runs on this machine."""
        return cls(choices, file=user_cache_dir() / "hidden-layers.json")

    def uses_convolution(self, rows: int, width: int, device: torch.device) -> bool:
        """Whether layers of ``width`` over so many rows are to be run as convolutions."""
        if rows < _MIN_ROWS or not _has_convolution(device):
            return False
        return self._choice(rows, width) == CONVOLUTION

    def measure(self, widths: set[int], device: torch.device) -> dict[str, str]:
        """Choose for layers of these widths, all classes; all choices so far."""
        for width in sorted(widths):
            for rows, backward in product(_TIMED_ROWS, (True, False)):
                with torch.set_grad_enabled(backward):
                    self.uses_convolution(rows, width, device)
        return self.choices

    def _choice(self, rows: int, width: int) -> str:
        key = shape_class(rows, width)
        if key not in self.choices:
            known = _read(self._file)
            if key not in known:
                as_product, as_convolution = self._timer(rows, width, torch.is_grad_enabled())
                # Read again: another process may have chosen meanwhile.
                known = _read(self._file)
                known.setdefault(key, CONVOLUTION if as_convolution < as_product else PRODUCT)
                _write(self._file, known)
            self.choices[key] = known[key]
        return self.choices[key]


def shape_class(rows: int, width: int) -> str:
    """Name what a choice holds for: processor, threads, width, rows, with gradients or without."""
    least = max(number for number in _TIMED_ROWS if number <= rows)
    name = f"{_processor()}, {torch.get_num_threads()} threads, width {width}, rows {least}+"
    return name if torch.is_grad_enabled() else f"{name}, forward alone"


@torch.inference_mode(mode=False)
@torch.enable_grad()
def time_products(rows: int, width: int, backward: bool = True) -> tuple[float, float]:
    """Time a hidden layer in seconds as product and as convolution, forward and, if asked, back.

    As the networks have it, a `residual` with a bias: only a convolution does without passes of
    their own for the two, so that bare products may be alike where layers are not (AMD with
    AVX-512, two threads, 2,048 rows of 256: bare 4.5 and 4.3 ms, a layer 5.0 and 4.4). The shortest
    of five calls each, in turns, after one to warm up: milliseconds.
    """
    count = _TIMED_ROWS[max(number for number in _TIMED_ROWS if number <= rows)]
    generator = torch.Generator().manual_seed(0)
    plain = torch.randn((count if backward else _TIMED_ROWS_FORWARD, width), generator=generator)
    weight = torch.randn((width, width), generator=generator).requires_grad_()
    bias = torch.zeros(width, requires_grad=True)
    inputs = [plain, _as_pixels(plain)]
    work = _forward_and_backward if backward else _forward
    best = [float("inf"), float("inf")]
    for repeat in range(_REPEATS + 1):
        for number, values in enumerate(inputs):
            x = values.detach().requires_grad_()
            started = time.perf_counter()
            work(x, weight, bias)
            if repeat:
                best[number] = min(best[number], time.perf_counter() - started)
    return best[0], best[1]


def _forward_and_backward(values: Tensor, weight: Tensor, bias: Tensor) -> None:
    torch.autograd.grad(residual(values, weight, bias).sum(), [values, weight, bias])


@torch.no_grad()
def _forward(values: Tensor, weight: Tensor, bias: Tensor) -> None:
    residual(values, weight, bias)


@lru_cache(maxsize=1)
def default_products() -> ProductTable:
    """The table of this process for networks that belong to no run."""
    return ProductTable.of_machine()


def padding_of(rows: int) -> int:
    """How many rows to add so that `as_pixels` divides them best."""
    return -rows % _IMAGES


def as_pixels(rows: Tensor, width: int, products: ProductTable) -> Tensor:
    """View ``(row, feature)`` as pixels ``(image, feature, row / image, 1)``, if that is faster.

    The result is a view: what is to be overwritten is overwritten before, as autograd copies much
    for a view that is. ``width`` is that of the layers to come.
    """
    if rows.ndim == 4 or not products.uses_convolution(len(rows), width, rows.device):
        return rows
    return _as_pixels(rows)


def _as_pixels(rows: Tensor) -> Tensor:
    images = 1 if len(rows) % _IMAGES else _IMAGES
    return rows.contiguous().view(images, -1, 1, rows.shape[1]).permute(0, 3, 1, 2)


def as_rows(values: Tensor) -> Tensor:
    """Turn what `as_pixels` gave back into ``(row, feature)``."""
    if values.ndim == 2:
        return values
    return values.permute(0, 2, 3, 1).reshape(-1, values.shape[1])


def dense(values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Apply a linear layer to rows ``(row, feature)`` or pixels ``(image, feature, pixel, 1)``."""
    if values.ndim == 2:
        return functional.linear(values, weight, bias)
    return functional.conv2d(values, weight[:, :, None, None], bias)


def residual(values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compute ``x + Linear(x)`` of rows ``(row, feature)`` or pixels.

    Of pixels in one product, the identity added to the weights.
    """
    if values.ndim == 2:
        return values + dense(values, weight, bias)
    identity = torch.eye(len(weight), dtype=weight.dtype, device=weight.device)
    return dense(values, weight + identity, bias)


def _has_convolution(device: torch.device) -> bool:
    return (
        device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and not torch.is_autocast_enabled("cpu")
    )


@lru_cache(maxsize=1)
def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _read(file: Path | None) -> dict[str, str]:
    if file is None:
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {k: v for k, v in found.items() if v in (PRODUCT, CONVOLUTION)}
    except (OSError, ValueError, AttributeError):
        return {}  # worth no failure: it is timed again


def _write(file: Path | None, choices: dict[str, str]) -> None:
    if file is not None:
        with suppress(OSError):  # a home that cannot be written to: timed again next time
            # Not among the files that a command is asked for, which may replace none.
            text = json.dumps(choices, indent=2, sort_keys=True) + "\n"
            Context().run(write_text, file, text)
