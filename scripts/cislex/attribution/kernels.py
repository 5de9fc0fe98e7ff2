"""Compiled loops for the operations that most models consist of, and memory settings for CPUs.

On a CPU a chain of elementwise operations is bound by memory: one pass in place of seven. Examples are
(n, P) and references (n·R, P), ordered example by example; a loop takes some of the columns P for all
rows, block by block, so that an example's block stays in the cache while its references pass.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cislex.runtime.compilation import compile_once

#: mallopt parameters of glibc (malloc.h).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
#: Columns of a block.
_BLOCK = 2048
#: Elements below which one thread does all.
_SMALL = 1 << 16


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory in this process instead of returning it to the system.

    Fresh pages cost ten times an elementwise operation on them, so attribution on a CPU runs up to twice as
    fast. Call it once at the start of a job; it affects the whole process and cannot be undone.

    Returns
    -------
    bool
        Whether it had an effect (Linux with glibc).
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    large = bool(mallopt(_M_MMAP_THRESHOLD, 2**30)) or bool(mallopt(_M_MMAP_THRESHOLD, 2**25))  # before 2.35
    return bool(mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)) and large


def compiled(function: Callable[..., Any], *, finite: bool = True, reorder: bool = False) -> Any:
    """Compile with numba; keep the machine code on disk where some folder for it can be written.

    With ``finite`` values that are no numbers may become some number; with ``reorder`` sums are taken in
    the order that suits the processor.
    """
    options: dict[str, Any] = {
        "nogil": True,
        "fastmath": {
            "nsz",
            "contract",
            *(("nnan", "ninf") if finite else ()),
            *(("reassoc",) if reorder else ()),
        },
        "error_model": "numpy",  # a check for division by zero would keep loops scalar
    }
    try:
        return compile_once(numba.njit(cache=True, **options)(function))
    except RuntimeError:  # no writable folder
        return numba.njit(**options)(function)


class Workers:
    """As many threads as torch has, started when they are first needed and ended with this object.

    Loops release the interpreter's lock. A pool of our own, because numba's either aborts when two threads
    use it or brings a second OpenMP, whose waiting threads compete with torch's.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def run(self, loop: Callable[..., None], columns: int, elements: int, *arguments: Any) -> None:
        """Call ``loop(first, last, *arguments)`` for parts of the columns."""
        threads = torch.get_num_threads() if elements >= _SMALL else 1
        if threads == 1:
            loop(0, columns, *arguments)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(threads - 1)
        edges = [columns * k // threads for k in range(threads + 1)]
        others = [self._pool.submit(loop, edges[k], edges[k + 1], *arguments) for k in range(1, threads)]
        loop(edges[0], edges[1], *arguments)
        for other in others:
            other.result()


def on_host(tensor: Tensor) -> bool:
    """Whether a tensor lies in this processor's memory, where looking at a number waits for nothing."""
    return tensor.device.type == "cpu"


def fits(example: Tensor, *references: Tensor) -> bool:
    """Whether loops can run: rows of examples and references, contiguous, on a CPU, in a known precision.

    Parameters
    ----------
    example
        (n, …).
    references
        (n·R, …), ordered example by example.
    """
    return (
        all(
            on_host(item) and item.dtype == example.dtype and item.is_contiguous()
            for item in (example, *references)
        )
        and example.dtype in (torch.float32, torch.float64)
        and len(example) > 0
        and example.dim() > 1
        and all(item.shape[1:] == example.shape[1:] and not len(item) % len(example) for item in references)
    )


def rows(tensor: Tensor) -> NDArray[Any]:
    """(rows, P) view as an array."""
    return tensor.detach().numpy().reshape(len(tensor), -1)


@numba.njit(inline="always", error_model="numpy", fastmath={"nnan", "ninf", "nsz", "contract"})
def _slope(a, b, tiny, zero, one):  # type: ignore[no-untyped-def]
    """Slope of max(·, 0) between a and b: max(a, b) / |a − b| within [0, 1], and 0 at a = b = 0."""
    return min(max(max(a, b) / max(abs(a - b), tiny), zero), one)


@compiled
def _relu(first, last, example, reference, gradient, output, tiny, zero, one):  # type: ignore[no-untyped-def]
    """Gradient times the slope of max(·, 0) between example and reference."""
    references = reference.shape[0] // example.shape[0]
    for start in range(first, last, _BLOCK):
        stop = min(start + _BLOCK, last)
        for row in range(reference.shape[0]):
            x, r = example[row // references, start:stop], reference[row, start:stop]
            g, out = gradient[row, start:stop], output[row, start:stop]
            for p in range(stop - start):
                out[p] = g[p] * _slope(x[p], r[p], tiny, zero, one)


@compiled
def _relu_over(first, last, example, reference, gradient, tiny, zero, one):  # type: ignore[no-untyped-def]
    """The same, written over the reference: a loop whose output may be its input is not vectorised."""
    references = reference.shape[0] // example.shape[0]
    for start in range(first, last, _BLOCK):
        stop = min(start + _BLOCK, last)
        for row in range(reference.shape[0]):
            x, r = example[row // references, start:stop], reference[row, start:stop]
            g = gradient[row, start:stop]
            for p in range(stop - start):
                r[p] = g[p] * _slope(x[p], r[p], tiny, zero, one)


def relu(
    workers: Workers, example: Tensor, reference: Tensor, gradient: Tensor, *, over: bool = False
) -> Tensor:
    """Multiply a gradient by the slope of ReLU between examples (n, …) and references (n·R, …).

    ``fits`` has to hold for the tensors. With ``over`` the reference is written over.
    """
    arrays = [rows(item) for item in (example, reference, gradient)]
    constants = _constants(arrays[0])
    if over:
        workers.run(_relu_over, arrays[0].shape[1], reference.numel(), *arrays, *constants)
        return reference
    output = torch.empty_like(reference)
    workers.run(_relu, arrays[0].shape[1], reference.numel(), *arrays, rows(output), *constants)
    return output


def _constants(array: NDArray[Any]) -> tuple[Any, Any, Any]:
    """The smallest normal number, zero and one, of an array's type."""
    kind = array.dtype.type
    return kind(np.finfo(kind).tiny), kind(0), kind(1)


@compiled
def _reveal_relu(first, last, x, r, plus, minus, up, down, half, tiny, zero, one):  # type: ignore[no-untyped-def]
    """Slopes of max(·, 0) for the positive and the negative part, each over both orders of arrival."""
    references = r.shape[0] // x.shape[0]
    for start in range(first, last, _BLOCK):
        stop = min(start + _BLOCK, last)
        for row in range(r.shape[0]):
            a, b = x[row // references, start:stop], r[row, start:stop]
            positive, negative = plus[row, start:stop], minus[row, start:stop]
            out_up, out_down = up[row, start:stop], down[row, start:stop]
            for p in range(stop - start):
                high, low = b[p] + positive[p], b[p] + negative[p]
                after_plus, after_minus = (
                    _slope(a[p], high, tiny, zero, one),
                    _slope(a[p], low, tiny, zero, one),
                )
                out_up[p] = half * (_slope(high, b[p], tiny, zero, one) + after_minus)
                out_down[p] = half * (_slope(low, b[p], tiny, zero, one) + after_plus)


def reveal_relu(
    workers: Workers, example: Tensor, reference: Tensor, positive: Tensor, negative: Tensor
) -> tuple[Tensor, Tensor]:
    """RevealCancel's slopes of ReLU for both parts (n·R, …), of tensors for which ``fits``."""
    outputs = torch.empty_like(reference), torch.empty_like(reference)
    arrays = [rows(item) for item in (example, reference, positive, negative, *outputs)]
    constants = arrays[0].dtype.type(0.5), *_constants(arrays[0])
    workers.run(_reveal_relu, arrays[0].shape[1], reference.numel(), *arrays, *constants)
    return outputs


@compiled
def _series(first, last, x, fx, c0, c1, c2, r, fr, output, near):  # type: ignore[no-untyped-def]
    """The quotient where two points are apart, a series around the example where they are close."""
    references = r.shape[0] // x.shape[0]
    for start in range(first, last, _BLOCK):
        stop = min(start + _BLOCK, last)
        for row in range(r.shape[0]):
            i = row // references
            a, fa = x[i, start:stop], fx[i, start:stop]
            k0, k1, k2 = c0[i, start:stop], c1[i, start:stop], c2[i, start:stop]
            b, fb, out = r[row, start:stop], fr[row, start:stop], output[row, start:stop]
            for p in range(stop - start):
                d = b[p] - a[p]
                close = abs(d) < near
                quotient = (fb[p] - fa[p]) / (near if close else d)
                out[p] = k0[p] + d * (k1[p] + d * k2[p]) if close else quotient


def series(
    workers: Workers,
    example: tuple[Tensor, Tensor],
    coefficients: tuple[Tensor, Tensor, Tensor],
    reference: tuple[Tensor, Tensor],
    near: float,
) -> Tensor:
    """Slopes (n·R, …) of a smooth function between examples and references.

    Parameters
    ----------
    example, reference
        Points and values there, (n, …) and (n·R, …), for which ``fits``.
    coefficients
        Of the slope's expansion 1, d, d² in d = reference − example.
    near
        Up to which |d| the expansion is used.
    """
    output = torch.empty_like(reference[0])
    arrays = [rows(item) for item in (*example, *coefficients, *reference, output)]
    workers.run(_series, arrays[0].shape[1], output.numel(), *arrays, arrays[0].dtype.type(near))
    return output
