"""Random shuffles of sequences, compiled: references of attribution and negatives of training use the same.

A shuffle depends on its seed and its own sequence only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np


def _compile(function: Callable[..., Any]) -> Any:
    """Compile with numba; keep the machine code on disk where some folder for it can be written."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no writable folder
        return numba.njit(nogil=True)(function)


@_compile
def fill_shuffles(codes, seeds, start, end, dinucleotides, out):  # type: ignore[no-untyped-def]
    """Write shuffles of ``codes`` (n, L) uint8 as one-hot into the zeros of ``out`` (n, R, 4, L) uint8.

    A dinucleotide shuffle is a random Eulerian path (Altschul & Erickson 1985; the last exit of each base
    is kept, which is what makes every draw a path through all edges): each base has its list of following
    bases in random order, and a walk takes the next one from the list of the base where it stands. Runs of
    known bases are shuffled one by one, so unknown bases stay and every dinucleotide count is kept.
    """
    n, length = codes.shape
    exits = np.empty((4, length), np.uint8)
    counts = np.empty(4, np.int64)
    drawn = np.empty(length, np.uint8)
    for i in range(n):
        row = codes[i]
        for k in range(out.shape[1]):
            # 32-bit wrap-around, as of the peers' integer seeds.
            np.random.seed(np.int32((seeds[i] + k) & 0xFFFFFFFF))
            drawn[:] = row
            if dinucleotides:
                first = start
                while first < end:
                    if row[first] == 4:
                        first += 1
                        continue
                    last = first
                    while last < end and row[last] != 4:
                        last += 1
                    counts[:] = 0
                    for j in range(first, last - 1):
                        base = row[j]
                        exits[base, counts[base]] = row[j + 1]
                        counts[base] += 1
                    for base in range(4):
                        if counts[base] > 2:
                            np.random.shuffle(exits[base, : counts[base] - 1])
                    counts[:] = 0
                    here = row[first]
                    for j in range(first + 1, last):
                        follower = exits[here, counts[here]]
                        counts[here] += 1
                        drawn[j] = follower
                        here = follower
                    first = last
            else:
                known = row[row != 4]
                np.random.shuffle(known)
                taken = 0
                for j in range(length):
                    if row[j] != 4:
                        drawn[j] = known[taken]
                        taken += 1
            for j in range(length):
                if drawn[j] != 4:
                    out[i, k, drawn[j], j] = 1
