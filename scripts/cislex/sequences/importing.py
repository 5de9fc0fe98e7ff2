"""Sequences given directly, as FASTA, HDF5 or NumPy file, brought into the same files as those of a genome.

They have no coordinates: ``chrom`` is empty (``.`` in regions.bed), ``start`` 0, ``end`` L, strand ``.``.
"""

from __future__ import annotations

import collections
import hashlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import offenders
from cislex.files.tables import write_table
from cislex.files.user_arrays import open_arrays
from cislex.logs import announce, get_logger
from cislex.regions.extraction import write_regions_bed
from cislex.regions.genome import UNKNOWN
from cislex.regions.row_ledger import RowLedger
from cislex.regions.selection import DROPPED_COLUMNS
from cislex.sequences.direct_selection import DirectOptions, choose
from cislex.sequences.direct_sources import DirectSource, FastaRecords, OneHotRows, read_codes, require_length
from cislex.sequences.store import rows_per_chunk, write_sequences

__all__ = ["import_sequences", "read_codes"]

logger = get_logger(__name__)


def import_sequences(
    source: str | Path,
    regions: str | Path,
    dropped: str | Path,
    out: str | Path,
    *,
    dataset: str | None = None,
    axes: str = "auto",
    length: int | None = None,
    is_hdf5: bool = False,
    selection: Mapping[str, Any] | None = None,
    threads: int = 1,
) -> int:
    """Write ``regions.bed``, ``dropped.tsv`` and ``sequences.h5`` of sequences given directly.

    Parameters
    ----------
    source
        FASTA (plain or gzipped), every record one sequence; or HDF5, .npz or .npy with a one-hot array.
    regions, dropped, out
        Written. Every sequence is kept, or in ``dropped`` with a reason and its name as ``chrom``.
    dataset
        HDF5, .npz: name of the array; None where the file has only one of three dimensions.
    axes
        Arrays: ``n4l``, ``nl4`` or ``auto`` (by the axis of size 4).
    length
        Expected length (the model's input), or None.
    is_hdf5
        The source is HDF5 or a NumPy file.
    selection
        Fields of :class:`~cislex.sequences.direct_selection.DirectOptions`; None: every sequence is kept.
    threads
        Threads that compress.

    Returns
    -------
    int
        Number of sequences that are kept.

    Raises
    ------
    InputError
        Sequences differ in length or from ``length``, hold other characters than DNA's, or are not
        one-hot; or none is left.
    ConfigError
        The dataset or its axis order cannot be told.
    """
    options = DirectOptions(**(selection or {}))
    with ExitStack() as stack:
        handle = (
            stack.enter_context(open_arrays(source, what="sequences given directly")) if is_hdf5 else None
        )
        rows: DirectSource
        if handle is not None:
            rows = OneHotRows(handle, source, dataset, axes)
            require_length(source, rows.length, length)
        else:
            rows = FastaRecords(source, length)
            if options.malformed == "error":
                rows.require_one_length()
        ledger = choose(rows, options, source, handle)
        _warn_of_names(source, rows.names)
        _write(source, rows, ledger, (regions, dropped, out), threads, strict=options.malformed == "error")
    kept, total = len(ledger.rows), len(ledger.peaks)
    lost = f", {total - kept} dropped ({ledger.counts()})" if kept < total else ""
    text = f"{source}: {total} sequences of {rows.length} bp read, without coordinates; {kept} kept{lost}"
    announce(logger, logging.WARNING if (ledger.reason == "malformed").any() else logging.INFO, text)
    return kept


def _warn_of_names(source: str | Path, names: list[str]) -> None:
    """Say which names several sequences have: tables by name, as of labels, cannot tell these apart."""
    twice = [f"{name} ({count})" for name, count in collections.Counter(names).items() if count > 1]
    if twice:
        logger.warning(
            "%s: names shared by several sequences: %s; labels and lists by name refer to all of them, and "
            "hits identify them by name and row", source, offenders(twice),
        )  # fmt: skip


def _write(
    source: str | Path,
    rows: DirectSource,
    ledger: RowLedger,
    paths: tuple[str | Path, str | Path, str | Path],
    threads: int,
    *,
    strict: bool,
) -> None:
    size, kept = rows.length, ledger.peaks.iloc[ledger.rows]
    table = pd.DataFrame(
        {
            "chrom": "",
            "start": 0,
            "end": size,
            "name": kept["chrom"],
            "score": ".",
            "strand": ".",
            "peak_start": 0,
            "peak_end": size,
            "source_line": kept["source_line"],
        }
    ).reset_index(drop=True)
    # What the sequences are, not how they were stored, makes the digest: FASTA and HDF5 agree.
    hasher = hashlib.blake2b(str(size).encode(), digest_size=16)
    attributes: dict[str, object] = {"source": str(source), "has_coordinates": False}
    empty: list[str] = []

    def digested() -> Iterator[NDArray[np.uint8]]:
        done = 0
        for block in _chosen(rows, ledger.alive, strict=strict):
            hasher.update(np.ascontiguousarray(block).data)
            blank = np.flatnonzero((block == UNKNOWN).all(axis=1))
            empty.extend(f"{table['name'].iat[done + row]} (row {done + row + 1})" for row in blank.tolist())
            done += len(block)
            yield block
        attributes["source_digest"] = hasher.hexdigest()

    write_sequences(paths[2], digested(), table, size, attributes=attributes, threads=threads)
    if empty:
        text = f"{source}: {len(empty)} of {len(table)} sequences have no known base: {offenders(empty)}"
        announce(logger, logging.WARNING, f"{text}; set max_unknown to exclude them")
    lost = ~ledger.alive
    gone = ledger.peaks.loc[lost].assign(reason=ledger.reason[lost], detail=ledger.detail[lost])
    write_table(gone[DROPPED_COLUMNS], paths[1])
    write_regions_bed(table, paths[0], dropped=len(gone))


def _chosen(rows: DirectSource, alive: NDArray[np.bool_], *, strict: bool) -> Iterator[NDArray[np.uint8]]:
    """The rows that are kept, in blocks as the file of sequences wants them."""
    size = min(rows_per_chunk(rows.length), int(alive.sum()))
    waiting: list[NDArray[np.uint8]] = []
    held = done = 0
    for codes, _ in rows.blocks(strict=strict):
        part = codes[alive[done : done + len(codes)]]
        done += len(codes)
        waiting.append(part)
        held += len(part)
        while held >= size:
            joined = np.concatenate(waiting)
            yield joined[:size]
            waiting, held = [joined[size:]], held - size
    if held:
        yield np.concatenate(waiting)
