"""The genome around variants, read in blocks that neighbouring variants share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cislex.regions.genome import UNKNOWN, Genome

#: Bases read at a time.
BLOCK = 1 << 18
#: Bases of a chromosome that are put together at a time.
MOST = 1 << 24
#: Blocks that are kept: variants in the genome's order need two.
KEPT = 8


class Context:
    """Codes of any stretch of a genome; what lies beyond a chromosome's ends is unknown.

    Parameters
    ----------
    genome
        Opened for reading.
    block
        Bases that are read at a time; results do not depend on it.
    """

    def __init__(self, genome: Genome, *, block: int = BLOCK) -> None:
        self.genome = genome
        self.block = block
        self._blocks: OrderedDict[tuple[str, int], NDArray[np.uint8]] = OrderedDict()

    def codes(self, chrom: str, start: int, end: int) -> NDArray[np.uint8]:
        """Codes of ``chrom[start:end]``, uint8 (end − start,): 0 to 3, 4 unknown; a new array."""
        out = np.full(end - start, UNKNOWN, dtype=np.uint8)
        last = min(end, self.genome.lengths[chrom])
        at = max(0, start)
        while at < last:
            number = at // self.block
            stop = min(last, (number + 1) * self.block)
            origin = number * self.block
            out[at - start : stop - start] = self._read(chrom, number)[at - origin : stop - origin]
            at = stop
        return out

    def stretches(self, chroms: Sequence[str], starts: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
        """Codes of ``[start, start + width)`` of each chromosome, uint8 (n, width); any order."""
        out = np.empty((len(starts), width), dtype=np.uint8)
        names, numbers = np.unique(np.asarray(chroms, dtype=object), return_inverse=True)
        order = np.lexsort((starts, numbers))
        far = (np.diff(numbers[order]) != 0) | (np.diff(starts[order]) > self.block)
        for rows in np.split(order, np.flatnonzero(far) + 1) if len(order) else ():
            first = int(starts[rows[0]])
            for part in np.split(rows, np.flatnonzero(np.diff((starts[rows] - first) // MOST)) + 1):
                begin, end = int(starts[part[0]]), int(starts[part[-1]]) + width
                span = self.codes(names[numbers[part[0]]], begin, end)
                out[part] = np.lib.stride_tricks.sliding_window_view(span, width)[starts[part] - begin]
        return out

    def _read(self, chrom: str, number: int) -> NDArray[np.uint8]:
        key = (chrom, number)
        if key in self._blocks:
            self._blocks.move_to_end(key)
            return self._blocks[key]
        start = number * self.block
        found = self.genome.codes(chrom, start, min(start + self.block, self.genome.lengths[chrom]))
        self._blocks[key] = found
        if len(self._blocks) > KEPT:
            self._blocks.popitem(last=False)
        return found
