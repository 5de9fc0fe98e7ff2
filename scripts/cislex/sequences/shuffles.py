"""Random shuffles of sequences, compiled: references of attribution and negatives of training use the same.

A shuffle depends on its seed and its own sequence only. Random numbers come from a Mersenne twister
(Matsumoto & Nishimura 1998) inside each call: threads share no generator, and none elsewhere is seeded.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from cislex.runtime.compilation import compile_once
from cislex.sequences.store import to_codes

#: Words of the twister's state, and the distance of the two that are combined.
_STATE, _SHIFT = 624, 397
#: Bases that are worth a thread of their own (about 2 ms): below, starting it costs more than it saves.
_BASES_PER_THREAD = 1 << 18


def compiled(function: Callable[..., Any]) -> Any:
    """Compile with numba; keep the machine code on disk where some folder for it can be written."""
    try:
        return compile_once(numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # no writable folder
        return numba.njit(nogil=True)(function)


def fill_shuffles(
    codes: NDArray[np.uint8],
    seeds: NDArray[np.int64],
    start: int,
    end: int,
    dinucleotides: bool,
    out: NDArray[np.uint8],
    *,
    uniform: bool = False,
    threads: int = 1,
) -> None:
    """Write R shuffles of each sequence as one-hot.

    Parameters
    ----------
    codes
        (n, L) uint8: 0 A, 1 C, 2 G, 3 T, 4 unknown; unknown bases stay where they are.
    seeds
        (n,) int64; shuffle k of sequence i is drawn from the low 32 bits of ``seeds[i] + k``.
    start, end
        The columns that a dinucleotide shuffle takes in, half-open.
    dinucleotides
        Keep the counts of dinucleotides and both ends, else the counts of bases (in all columns).
    out
        Written, every value: (n, R, 4, L) uint8.
    uniform
        Of dinucleotide shuffles, draw every one with the same probability, instead of those alone in which
        the last exit of each base is that of the sequence itself.
    threads
        Most threads; the result does not depend on it.
    """
    rows = out.shape[0] * out.shape[1]
    parts = max(1, min(threads, rows, rows * codes.shape[1] // _BASES_PER_THREAD))
    cuts = [rows * part // parts for part in range(parts + 1)]

    def run(part: int) -> None:
        _fill(codes, seeds, start, end, dinucleotides, uniform, cuts[part], cuts[part + 1], out)

    if parts == 1:
        run(0)
        return
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(run, range(parts)))


def shuffled_codes(
    codes: NDArray[np.uint8],
    seeds: NDArray[np.int64],
    n: int = 1,
    *,
    dinucleotides: bool,
    uniform: bool = False,
) -> NDArray[np.uint8]:
    """Codes (N, n, L) of n shuffles of each sequence (N, L), of all columns; see :func:`fill_shuffles`."""
    out = np.empty((len(codes), n, 4, codes.shape[1]), np.uint8)
    fill_shuffles(np.ascontiguousarray(codes), seeds, 0, codes.shape[1], dinucleotides, out, uniform=uniform)
    return to_codes(out)


@compiled
def _seed(state, seed):  # type: ignore[no-untyped-def]
    """Set the twister's state from the low 32 bits of a number."""
    low = np.uint64(0xFFFFFFFF)
    word = np.uint64(seed) & low
    state[0] = word
    for i in range(1, _STATE):
        word = ((word ^ (word >> np.uint64(30))) * np.uint64(1812433253) + np.uint64(i)) & low
        state[i] = word


@compiled
def _mixed(this, following, other):  # type: ignore[no-untyped-def]
    """One word of the twister's next state."""
    both = (this & np.uint32(0x80000000)) | (following & np.uint32(0x7FFFFFFF))
    return other ^ (both >> np.uint32(1)) ^ (np.uint32(0x9908B0DF) * (both & np.uint32(1)))


@compiled
def _twist(state, numbers):  # type: ignore[no-untyped-def]
    """Advance the state and write its next 624 random numbers, uint32."""
    for j in range(_STATE - _SHIFT):
        state[j] = _mixed(state[j], state[j + 1], state[j + _SHIFT])
    for j in range(_STATE - _SHIFT, _STATE - 1):
        state[j] = _mixed(state[j], state[j + 1], state[j + _SHIFT - _STATE])
    state[_STATE - 1] = _mixed(state[_STATE - 1], state[0], state[_SHIFT - 1])
    for j in range(_STATE):
        y = state[j]
        y = y ^ (y >> np.uint32(11))
        y = y ^ ((y << np.uint32(7)) & np.uint32(0x9D2C5680))
        y = y ^ ((y << np.uint32(15)) & np.uint32(0xEFC60000))
        numbers[j] = y ^ (y >> np.uint32(18))


@compiled
def _permute(values, count, state, numbers, taken):  # type: ignore[no-untyped-def]
    """Shuffle ``values[:count]`` (Fisher-Yates); returns how many of ``numbers`` are used up.

    A number that is too large is drawn again: by staying at i, because a branch here would be one that
    the processor guesses wrong half of the time.
    """
    i = count - 1
    mask = 1
    while mask < i:
        mask = 2 * mask + 1
    while i > 0:
        while i > mask >> 1:
            if taken == _STATE:
                _twist(state, numbers)
                taken = 0
            drawn = np.int64(numbers[taken]) & mask
            taken += 1
            fits = drawn <= i
            j = drawn if fits else i
            values[i], values[j] = values[j], values[i]
            i -= np.int64(fits)
        mask >>= 1
    return taken


@compiled
def _below(bound, state, numbers, taken):  # type: ignore[no-untyped-def]
    """Draw a number from 0 to ``bound`` − 1; returns it and how many of ``numbers`` are used up."""
    mask = 1
    while mask < bound - 1:
        mask = 2 * mask + 1
    while True:
        if taken == _STATE:
            _twist(state, numbers)
            taken = 0
        drawn = np.int64(numbers[taken]) & mask
        taken += 1
        if drawn < bound:
            return drawn, taken


@compiled
def _draw_last_exits(exits, counts, root, leave, state, numbers, taken):  # type: ignore[no-untyped-def]
    """Put at the end of each base's list an exit of a random tree towards ``root`` (Wilson 1996).

    From each base a walk takes random exits until it meets the tree; the exits by which it left the bases
    for the last time join the tree. Every tree of exits has the same probability, so with the other exits in
    random order every path has (the BEST theorem). Exits to the same base are never the last one of it.
    ``leave`` (4, 5) is scratch: exits to each base, and how many lead elsewhere.
    """
    leave[:] = 0
    for base in range(4):
        for k in range(counts[base]):
            leave[base, exits[base, k]] += 1
        leave[base, base] = 0
        leave[base, 4] = leave[base, 0] + leave[base, 1] + leave[base, 2] + leave[base, 3]
    joined = 1 << np.int64(root)
    chosen = np.zeros(4, np.int64)
    for base in range(4):
        if counts[base] == 0:
            continue
        here = np.int64(base)
        while not (joined >> here) & 1:
            number, taken = _below(leave[here, 4], state, numbers, taken)
            follower = 0
            while number >= leave[here, follower]:
                number -= leave[here, follower]
                follower += 1
            chosen[here] = follower
            here = np.int64(follower)
        here = np.int64(base)
        while not (joined >> here) & 1:
            joined |= 1 << here
            last = counts[here] - 1
            k = last
            while exits[here, k] != chosen[here]:
                k -= 1
            exits[here, k], exits[here, last] = exits[here, last], exits[here, k]
            here = chosen[here]
    return taken


@compiled
def _collect(row, start, end, exits, counts):  # type: ignore[no-untyped-def]
    """List the bases that follow each base in ``row[start:end]``, in order."""
    counts[:] = 0
    for j in range(start, end - 1):
        base = row[j]
        exits[base, counts[base]] = row[j + 1]
        counts[base] += 1


@compiled
def _walk(exits, here, start, end, at, drawn):  # type: ignore[no-untyped-def]
    """From base ``here`` at ``start``, take the next of each base's exits up to ``end``."""
    at[:] = 0
    for j in range(start + 1, end):
        follower = exits[here, at[here]]
        at[here] += 1
        drawn[j] = follower
        here = follower


@compiled
def write_one_hot(drawn, out):  # type: ignore[no-untyped-def]
    """Write codes (L,) as one-hot (4, L), every value of it; for compiled code."""
    for base in range(4):
        for j in range(len(drawn)):
            out[base, j] = np.uint8(drawn[j] == base)


@compiled
def _fill(codes, seeds, start, end, dinucleotides, uniform, first, last, out):  # type: ignore[no-untyped-def]
    """Write shuffles ``first`` to ``last`` of the n × R.

    A dinucleotide shuffle is a random Eulerian path (Altschul & Erickson 1985): each base has its list of
    following bases in random order, and a walk takes the next one from the list of the base where it stands.
    It is a path through all edges if the last exits of all bases but the final one lead to that one. So do
    the sequence's own, which are kept unless ``uniform`` draws others. Runs of known bases are shuffled one
    by one, so unknown bases stay and every dinucleotide count is kept.
    """
    repeats, length = out.shape[1], codes.shape[1]
    state, numbers = np.empty(_STATE, np.uint32), np.empty(_STATE, np.uint32)
    exits, drawn = np.empty((4, length), np.uint8), np.empty(length, np.uint8)
    counts, at = np.empty(4, np.int64), np.empty(4, np.int64)
    leave = np.empty((4, 5), np.int64)
    for number in range(first, last):
        i, k = number // repeats, number % repeats
        row = codes[i]
        _seed(state, seeds[i] + k)
        taken = _STATE
        drawn[:] = row
        if dinucleotides:
            begin = start
            while begin < end:
                stop = begin
                while stop < end and row[stop] != 4:
                    stop += 1
                if stop > begin:
                    _collect(row, begin, stop, exits, counts)
                    root = row[stop - 1]
                    if uniform:
                        taken = _draw_last_exits(exits, counts, root, leave, state, numbers, taken)
                    for base in range(4):
                        free = counts[base] - np.int64(not (uniform and base == root))
                        taken = _permute(exits[base], free, state, numbers, taken)
                    _walk(exits, row[begin], begin, stop, at, drawn)
                begin = stop + 1
        else:
            known = row[row != 4]
            _permute(known, len(known), state, numbers, taken)
            drawn[row != 4] = known
        write_one_hot(drawn, out[i, k])
