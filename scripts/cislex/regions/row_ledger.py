"""The rows of a file of regions: which are kept, why the others were dropped, and how many are chosen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import offenders

#: Reasons of which the settings name the rows or their number: to drop for one of them is no surprise.
ASKED_FOR = frozenset({"below_top", "not_sampled", "excluded_chromosome", "not_named", "not_selected"})
#: More rows than this share dropped for other reasons is a warning.
MANY_DROPPED = 0.1


class Surplus(Protocol):
    """Settings that limit how many usable rows are kept."""

    @property
    def top(self) -> int | None:
        """The best this many."""
        ...

    @property
    def sample(self) -> int | None:
        """A random sample of this many."""
        ...

    @property
    def order_by(self) -> str | int:
        """What makes a row better, for the reason."""
        ...

    @property
    def seed(self) -> int:
        """Seed of the sample."""
        ...


class RowLedger:
    """The rows of a file, and for each dropped one why; a row's first reason counts."""

    def __init__(self, peaks: pd.DataFrame) -> None:
        self.peaks = peaks
        self.alive = np.ones(len(peaks), dtype=bool)
        self.reason = np.full(len(peaks), "", dtype=object)
        self.detail = np.full(len(peaks), "", dtype=object)

    def drop(self, rows: NDArray[np.bool_] | NDArray[np.int64], reason: str, detail: object) -> None:
        """Drop rows (a mask, or indices with details alike) that are still kept."""
        indices = np.flatnonzero(rows) if rows.dtype == bool else rows
        fresh = self.alive[indices]
        self.reason[indices[fresh]] = reason
        text = np.asarray(detail, dtype=object)
        self.detail[indices[fresh]] = text if text.ndim == 0 else text[fresh]
        self.alive[indices[fresh]] = False

    @property
    def rows(self) -> NDArray[np.int64]:
        """Indices of the rows that are still kept."""
        return np.flatnonzero(self.alive)

    def counts(self) -> str:
        """How many rows were dropped for which reason, as a sentence part."""
        found = pd.Series(self.reason[~self.alive]).value_counts()
        return ", ".join(f"{count} {reason}" for reason, count in found.items())

    def unknown_chromosomes(self, known: Iterable[str]) -> str:
        """What to do about chromosomes that the genome lacks, as the end of a message; empty: none."""
        unknown = self.reason == "unknown_chromosome"
        if not unknown.any():
            return ""
        names, genome = list(self.peaks["chrom"][unknown].unique()), list(known)
        return (
            f". The file has {offenders(names)}; the genome has {offenders(genome)}"
            f"{_same_but_for_chr(names, genome)}. If these are other names of the same chromosomes, map them "
            "in a table (two columns: alias, name) and set genome: {aliases: file.tsv}"
        )


def _same_but_for_chr(names: list[str], genome: list[str]) -> str:
    """What makes names of chromosomes those of the genome, where ``chr`` does; else nothing."""
    if {f"chr{name}" for name in names} & set(genome):
        return ": the genome puts chr in front of the same names"
    if {name.removeprefix("chr") for name in names} & set(genome):
        return ": the genome has the same names without chr"
    return ""


def best_first(rows: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows by decreasing value, NaN last, equal ones in the order of the file."""
    return rows[np.argsort(-values[rows], kind="stable")]


def drop_surplus(ledger: RowLedger, values: NDArray[np.float64], options: Surplus) -> None:
    """Drop what is not among the best ``top``, then what is not in the random ``sample``."""
    if options.top is not None:
        lost = best_first(ledger.rows, values)[options.top :]
        ledger.drop(lost, "below_top", f"not among the best {options.top} by {options.order_by}")
    rows = ledger.rows
    if options.sample is not None and options.sample < len(rows):
        chosen = np.random.default_rng(options.seed).choice(len(rows), options.sample, replace=False)
        ledger.drop(np.delete(rows, chosen), "not_sampled", f"not in the random sample of {options.sample}")
