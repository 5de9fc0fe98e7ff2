"""Sorted BED files in blocks of gzip (BGZF) with an index, so that ``tabix`` reads any part of them."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pysam

from cislex.errors import StorageError
from cislex.files.scratch import probe_space
from cislex.files.tables import atomic_path
from cislex.files.text_tables import as_text

#: Greatest end of an interval that an index in TBI format can hold; CSI has no such limit.
TBI_END = 1 << 29
#: Rows that are turned into text at once.
BLOCK_ROWS = 100_000


def index_path(path: str | Path) -> Path:
    """Where the index of a BED file lies: ``.tbi`` is added to its name."""
    return Path(f"{path}.tbi")


def csi_path(path: str | Path) -> Path:
    """Where a second name of the index lies, of a file with positions beyond :data:`TBI_END`."""
    return Path(f"{path}.csi")


def write_indexed_bed(frame: pd.DataFrame, path: str | Path) -> None:
    """Write a table as BGZF and index it, both atomically; equal tables make equal files.

    The index of older data is removed before the new data get their name, and the new one follows: an
    index that is there fits its data. Where an interval ends beyond 2^29 bp (chromosomes of wheat, lilies and
    lungfish), the index has the format CSI. It is then written as ``.csi``, which htslib looks for first,
    and also under the name ``.tbi``, by which rules know it; htslib tells formats by their content.

    Parameters
    ----------
    frame
        Columns ``#chrom, start, end`` (0-based, half-open) and any others, sorted by these; may be empty.
    path
        ``.bed.gz`` to write; see :func:`index_path` for that of its index.

    Raises
    ------
    StorageError
        When the folder cannot be written, or the disk is full.
    """
    is_long = len(frame) > 0 and int(frame["end"].max()) > TBI_END
    index, second = index_path(path), csi_path(path)
    with ExitStack() as stack:  # ends in reverse order: the data get their name first
        new_index = stack.enter_context(atomic_path(index))
        new_second = stack.enter_context(atomic_path(second)) if is_long else None
        new = stack.enter_context(atomic_path(path))
        try:
            _write_blocks(frame, new)
            pysam.tabix_index(str(new), preset="bed", index=str(new_index), force=True, csi=is_long)
        except OSError as error:  # htslib keeps to itself what the system said
            probe_space(new)
            raise StorageError(f"{path}: not written or not indexed: {error}") from error
        if new_second is not None:
            shutil.copyfile(new_index, new_second)
        for old in (index, second):
            old.unlink(missing_ok=True)


def _write_blocks(frame: pd.DataFrame, path: Path) -> None:
    with pysam.BGZFile(str(path), "wb", index=None) as handle:
        for first in range(0, max(len(frame), 1), BLOCK_ROWS):
            text = as_text(frame.iloc[first : first + BLOCK_ROWS], header=not first)
            handle.write(text.encode())
