"""References from the genome: windows of the example's length and GC content, from elsewhere.

The genome is held in memory at two bits per base, and the windows to choose from as one list in the order
of their GC content, so that a draw is a search and a copy.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cislex.attribution.references import at_least_one, checked_seeds
from cislex.errors import ConfigError, InputError, offenders
from cislex.logs import get_logger
from cislex.regions.genome import BLOCK, UNKNOWN, Genome
from cislex.regions.intervals import Intervals, read_blacklist
from cislex.sequences.shuffles import compiled, write_one_hot

#: Windows to choose from, at most; in a larger genome they begin at every second, third… base.
MOST_WINDOWS = 1 << 22


@dataclass(frozen=True)
class _Bases:
    """Chromosomes one after the other, at two bits per base."""

    packed: NDArray[np.uint8]  # four bases per byte, the first in the lowest bits
    run_starts: NDArray[np.int64]  # runs of unknown bases, sorted, half-open
    run_ends: NDArray[np.int64]


@dataclass(frozen=True)
class _Index:
    """Windows of one length, sorted by GC content."""

    length: int
    gc: NDArray[np.float64]  # GC fraction of the known bases of each window
    starts: NDArray[np.int64]  # where it begins in the packed bases
    bases: _Bases


class _Held:
    """The index that is in use, made once and shared by threads; copies and pickles begin without."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.index: _Index | None = None
        self.warned = False

    def __reduce__(self) -> tuple[type[_Held], tuple[()]]:
        return _Held, ()


@dataclass(frozen=True)
class GenomicWindows:
    """Windows of the genome with the example's length and GC content, on either strand.

    Reference k of an example is drawn from ``seed + k`` (of its own seed, where seeds are given) among
    the windows within ``tolerance`` of its GC content, each once; where these are fewer than ``n``, among
    the ``n`` nearest, and a warning says how far they are. It does not depend on the batch. Unknown bases
    of the example count for nothing. The index takes a quarter of a byte per base and at most 64 MiB; it
    is made at the first use, for one length at a time.

    Parameters
    ----------
    fasta
        The genome, plain or bgzipped.
    n, seed
        See :class:`~cislex.attribution.DinucleotideShuffle`.
    tolerance
        Largest difference of the fraction of G and C.
    max_unknown
        Largest fraction of unknown bases in a window.
    chromosomes
        Names of the only chromosomes to draw from; all by default.
    exclude
        BED file of intervals that no window overlaps, for example the peaks, so that no example is
        compared with itself or its like.
    fai, gzi
        The genome's index files, see :class:`cislex.regions.genome.Genome`.

    Raises
    ------
    ConfigError
        A setting is out of range, or a chromosome is not in the genome (when drawn).
    InputError
        A file cannot be used, or fewer than ``n`` windows are left (when drawn).

    Examples
    --------
    >>> windows = make_references(GenomicWindows(genome, n=3, tolerance=0.1), sequences)
    >>> windows.shape
    torch.Size([4, 3, 4, 60])
    """

    fasta: str | Path
    n: int = 20
    seed: int = 0
    tolerance: float = 0.02
    max_unknown: float = 0.0
    chromosomes: tuple[str, ...] | None = None
    exclude: str | Path | None = None
    fai: str | Path | None = None
    gzi: str | Path | None = None
    _held: _Held = field(default_factory=_Held, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        at_least_one("GenomicWindows", self.n)
        if not 0 <= self.tolerance <= 1:
            raise ConfigError(f"GenomicWindows.tolerance: found {self.tolerance}, expected 0 to 1")
        if not 0 <= self.max_unknown < 1:
            raise ConfigError(f"GenomicWindows.max_unknown: found {self.max_unknown}, expected 0 to below 1")
        if isinstance(self.chromosomes, str):
            raise ConfigError(
                f"GenomicWindows.chromosomes: found the text {self.chromosomes!r}, expected several names, "
                f"for example ({self.chromosomes!r},)"
            )
        if self.chromosomes is not None:
            object.__setattr__(self, "chromosomes", tuple(self.chromosomes))

    def __call__(self, sequences: Tensor, seeds: Any = None) -> Tensor:
        """Draw for sequences (N, 4, L), one-hot; returns (N, n, 4, L) uint8 on their device."""
        values = checked_seeds(seeds, len(sequences), self.seed)
        index = self._index(sequences.shape[2])
        counts = sequences.sum(2, dtype=torch.int64).cpu().numpy()
        known = counts.sum(1)
        gc = np.where(known > 0, (counts[:, 1] + counts[:, 2]) / np.maximum(known, 1), 0.5)
        out = np.empty((len(sequences), self.n, 4, index.length), dtype=np.uint8)
        bases = (index.bases.packed, index.bases.run_starts, index.bases.run_ends)
        far = _draw((index.gc, index.starts), bases, gc, values, self.tolerance + 1e-9, out)
        self._tell(gc, far)
        return torch.from_numpy(out).to(sequences.device)

    def _tell(self, gc: NDArray[np.float64], far: NDArray[np.float64]) -> None:
        """Warn, once, that windows further away than the tolerance had to be taken."""
        beyond = np.flatnonzero(far > self.tolerance + 1e-9)
        if len(beyond) and not self._held.warned:
            self._held.warned = True
            worst = beyond[np.argmax(far[beyond])]
            get_logger(__name__).warning(
                "%s: fewer than %d windows within %.3f of an example's GC content, so the nearest are used; "
                "so far the worst is an example of GC %.3f with windows up to %.3f away",
                self.fasta, self.n, self.tolerance, gc[worst], far[worst],
            )  # fmt: skip

    def _index(self, length: int) -> _Index:
        with self._held.lock:
            if self._held.index is None or self._held.index.length != length:
                self._held.index = None  # two at once would take twice the memory
                self._held.index = self._build(length)
            return self._held.index

    def _build(self, length: int) -> _Index:
        with Genome(self.fasta, fai=self.fai, gzi=self.gzi) as genome:
            names = self._names(genome)
            exclude = read_blacklist(self.exclude, genome)
            if exclude and not set(exclude) & set(genome.lengths):
                raise InputError(
                    f"{self.exclude}: has intervals on {offenders(exclude)}, but {self.fasta} has "
                    f"{offenders(genome.lengths)}; expected the same names"
                )
            index = _read(genome, names, length, exclude, self.max_unknown)
        if len(index.starts) < self.n:
            raise InputError(
                f"{self.fasta}: found {len(index.starts)} windows of {length} bp to draw references from, "
                f"expected at least n={self.n}; what to do: allow more chromosomes (now {offenders(names)}), "
                f"exclude less (now {self.exclude}) or raise max_unknown (now {self.max_unknown})"
            )
        get_logger(__name__).info(
            "%s: %d windows of %d bp to draw references from", self.fasta, len(index.starts), length
        )
        return index

    def _names(self, genome: Genome) -> list[str]:
        if self.chromosomes is None:
            return list(genome.lengths)
        if missing := [name for name in self.chromosomes if name not in genome.lengths]:
            raise ConfigError(
                f"GenomicWindows.chromosomes: {self.fasta} has no {offenders(missing)}; it has "
                f"{offenders(genome.lengths)}"
            )
        return [name for name in genome.lengths if name in self.chromosomes]


def _read(
    genome: Genome, names: list[str], length: int, exclude: dict[str, Intervals], max_unknown: float
) -> _Index:
    """Pack the chromosomes and find their windows; memory beyond the result is bounded by the block."""
    offsets = np.cumsum([0] + [-(-genome.lengths[name] // 4) * 4 for name in names])
    packed = np.zeros(int(offsets[-1]) // 4, dtype=np.uint8)
    step = max(1, -(-int(offsets[-1]) // MOST_WINDOWS))
    runs, found, contents = [], [], []
    for name, offset in zip(names, offsets.tolist(), strict=False):
        total = genome.lengths[name]
        for begin in range(0, total, BLOCK):
            end = min(begin + BLOCK, total)
            codes = genome.codes(name, begin, min(end + length - 1, total))
            runs.append(_pack(codes[: end - begin], packed[(offset + begin) // 4 :]) + offset + begin)
            starts = np.arange(-(-begin // step) * step, min(end, total - length + 1), step)
            gc, unknown = _count(codes, starts - begin, length)
            kept = unknown <= max_unknown * length
            if name in exclude:
                kept &= ~exclude[name].overlap(starts, starts + length)
            found.append(starts[kept] + offset)
            contents.append(gc[kept] / np.maximum(length - unknown[kept], 1))
    content = np.concatenate([np.zeros(0), *contents])
    order = np.argsort(content, kind="stable")
    begins = np.concatenate([np.zeros(0, np.int64), *found])
    joined = np.concatenate([np.zeros((2, 0), np.int64), *runs], axis=1)
    bases = _Bases(packed, np.ascontiguousarray(joined[0]), np.ascontiguousarray(joined[1]))
    return _Index(length, content[order], begins[order], bases)


def _pack(codes: NDArray[np.uint8], packed: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pack codes into the first bytes of ``packed``; returns the runs of unknown bases, int64 (2, runs)."""
    unknown = codes == UNKNOWN
    padded = np.zeros(-(-len(codes) // 4) * 4, dtype=np.uint8)
    padded[: len(codes)] = np.where(unknown, 0, codes)
    quads = padded.reshape(-1, 4)
    packed[: len(quads)] = quads[:, 0] | quads[:, 1] << 2 | quads[:, 2] << 4 | quads[:, 3] << 6
    edges = np.flatnonzero(np.diff(unknown, prepend=False, append=False))
    return edges.reshape(-1, 2).T.astype(np.int64)


def _count(
    codes: NDArray[np.uint8], starts: NDArray[np.int64], length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bases that are G or C, and that are unknown, in each window: int64 (n,) each."""
    counts = []
    for hit in ((codes == 1) | (codes == 2), codes == UNKNOWN):
        running = np.append(0, np.cumsum(hit))
        counts.append(running[starts + length] - running[starts])
    return counts[0], counts[1]


@compiled
def _hash(value):  # type: ignore[no-untyped-def]
    """64 well mixed bits of a whole number (splitmix64: Steele, Lea & Flood 2014)."""
    z = np.uint64(value) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@compiled
def _range(gc, wanted, tolerance, n):  # type: ignore[no-untyped-def]
    """Windows within the tolerance, or the ``n`` nearest: half-open range of the sorted windows."""
    low = np.searchsorted(gc, wanted - tolerance, side="left")
    high = np.searchsorted(gc, wanted + tolerance, side="right")
    while high - low < n:
        if low == 0 or (high < len(gc) and gc[high] - wanted < wanted - gc[low - 1]):
            high += 1
        else:
            low -= 1
    return low, high


@compiled
def _unpack(packed, run_starts, run_ends, start, reverse, drawn):  # type: ignore[no-untyped-def]
    """Codes of one window, reverse-complemented where asked."""
    length = len(drawn)
    for j in range(length):
        drawn[j] = (packed[(start + j) >> 2] >> (2 * ((start + j) & 3))) & 3
    run = np.searchsorted(run_ends, start, side="right")
    while run < len(run_starts) and run_starts[run] < start + length:
        for j in range(max(run_starts[run], start), min(run_ends[run], start + length)):
            drawn[j - start] = 4
        run += 1
    if reverse:
        for j in range((length + 1) // 2):
            left, right = drawn[j], drawn[length - 1 - j]
            drawn[j] = 4 if right == 4 else 3 - right
            drawn[length - 1 - j] = 4 if left == 4 else 3 - left


@compiled
def _draw(index, bases, wanted, seeds, tolerance, out):  # type: ignore[no-untyped-def]
    """Write n windows of each example, (N, n, 4, L); returns how far the furthest of each is, (N,)."""
    gc, starts = index
    packed, run_starts, run_ends = bases
    n = out.shape[1]
    taken = np.empty(n, np.int64)
    drawn = np.empty(out.shape[3], np.uint8)
    far = np.zeros(len(wanted))
    for i in range(len(wanted)):
        low, high = _range(gc, wanted[i], tolerance, n)
        for k in range(n):
            bits = _hash(seeds[i] + k)
            chosen = low + np.int64((bits >> np.uint64(1)) % np.uint64(high - low))
            earlier = 0
            while earlier < k:  # the next one that is not taken yet
                if taken[earlier] == chosen:
                    chosen = low if chosen + 1 == high else chosen + 1
                    earlier = 0
                else:
                    earlier += 1
            taken[k] = chosen
            _unpack(packed, run_starts, run_ends, starts[chosen], bits & np.uint64(1), drawn)
            write_one_hot(drawn, out[i, k])
            far[i] = max(far[i], abs(gc[chosen] - wanted[i]))
    return far
