"""The genome around variants, read in blocks that neighbouring variants share."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from cislex.regions.genome import UNKNOWN, Genome

#: Bases read at a time.
BLOCK = 1 << 18
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
