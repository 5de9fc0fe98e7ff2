"""Compiled loops for the operation that most models consist of, and memory settings for CPUs.

On a CPU a chain of elementwise operations is bound by memory: one pass in place of seven.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

#: mallopt parameters of glibc (malloc.h).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


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
    limit = 2**31 - 1
    return bool(mallopt(_M_MMAP_THRESHOLD, 2**30) and mallopt(_M_TRIM_THRESHOLD, limit))


def _compile(function: Callable[..., Any]) -> Any:
    """Compile with numba; keep the machine code on disk where some folder for it can be written."""
    options: dict[str, Any] = {"nogil": True, "fastmath": {"nnan", "ninf", "contract"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no writable folder
        return numba.njit(**options)(function)


@_compile
def _relu(example, reference, output, slope, tiny, zero, one):  # type: ignore[no-untyped-def]
    """Example (n, P), reference (n, R, P) → max(·, 0) and the pair's slope, both (n, R, P)."""
    n, references, size = reference.shape
    for i in range(n):
        for k in range(references):
            for p in range(size):
                a, b = example[i, p], reference[i, k, p]
                top = max(a, b)
                output[i, k, p] = max(b, zero)
                slope[i, k, p] = min(max(top / max(abs(a - b), tiny), zero), one)


def relu(example: Tensor, reference: Tensor) -> tuple[Tensor, Tensor] | None:
    """ReLU of reference rows and its slope against the example's, or None where the kernel does not apply.

    Parameters
    ----------
    example
        (n, …), or (n·R, …) for one reference each.
    reference
        (n·R, …), ordered example by example.
    """
    if (
        reference.device.type != "cpu"
        or reference.dtype not in (torch.float32, torch.float64)
        or example.shape[1:] != reference.shape[1:]
        or not (reference.is_contiguous() and example.is_contiguous())
        or not example.shape[0]
        or reference.shape[0] % example.shape[0]
    ):
        return None
    n = example.shape[0]
    shape = (n, reference.shape[0] // n, reference[0].numel())
    output, slope = torch.empty_like(reference), torch.empty_like(reference)
    kind = np.float32 if reference.dtype == torch.float32 else np.float64
    _relu(
        example.detach().numpy().reshape(n, -1),
        reference.detach().numpy().reshape(shape),
        output.numpy().reshape(shape),
        slope.numpy().reshape(shape),
        kind(np.finfo(kind).tiny),
        kind(0),
        kind(1),
    )
    return output, slope
