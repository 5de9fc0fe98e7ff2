"""Sorted BED and VCF files in blocks of gzip (BGZF) with an index: ``tabix`` reads any part of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

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
    """Write a table as BED in blocks of gzip, with its index; see :func:`write_indexed`.

    Parameters
    ----------
    frame
        Columns ``#chrom, start, end`` (0-based, half-open) and any others, sorted by these; may be empty.
    path
        ``.bed.gz`` to write.

    Raises
    ------
    StorageError
        When the folder cannot be written, or the disk is full.
    """
    is_long = len(frame) > 0 and int(frame["end"].max()) > TBI_END
    write_indexed(_bed_blocks(frame), path, preset="bed", is_long=is_long)


def write_indexed(
    blocks: Iterable[str], path: str | Path, *, preset: Literal["bed", "vcf"], is_long: bool
) -> None:
    """Write text as BGZF and index it, both atomically; equal text makes equal files.

    The index of older data is removed before the new data get their name, and the new one follows: an
    index that is there fits its data. Where an interval ends beyond 2^29 bp (chromosomes of wheat, lilies and
    lungfish), the index has the format CSI. It is then written as ``.csi``, which htslib looks for first,
    and also under the name ``.tbi``, by which rules know it; htslib tells formats by their content.

    Parameters
    ----------
    blocks
        The text in parts, its rows sorted by chromosome and position.
    path
        ``.bed.gz`` or ``.vcf.gz`` to write; see :func:`index_path` for that of its index.
    preset
        ``bed`` or ``vcf``.
    is_long
        Whether a position is beyond :data:`TBI_END`.

    Raises
    ------
    StorageError
        When the folder cannot be written, or the disk is full.
    """
    index, second = index_path(path), csi_path(path)
    with ExitStack() as stack:  # ends in reverse order: the data get their name first
        new_index = stack.enter_context(atomic_path(index))
        new_second = stack.enter_context(atomic_path(second)) if is_long else None
        new = stack.enter_context(atomic_path(path))
        try:
            with pysam.BGZFile(str(new), "wb", index=None) as handle:
                for block in blocks:
                    handle.write(block.encode())
            pysam.tabix_index(str(new), preset=preset, index=str(new_index), force=True, csi=is_long)
        except OSError as error:  # htslib keeps to itself what the system said
            probe_space(new)
            raise StorageError(f"{path}: not written or not indexed: {error}") from error
        if new_second is not None:
            shutil.copyfile(new_index, new_second)
        for old in (index, second):
            old.unlink(missing_ok=True)


def open_indexed(path: str | Path) -> pysam.TabixFile:
    """Open a file of :func:`write_indexed_bed` by its index.

    Raises
    ------
    StorageError
        When it cannot be read.
    """
    try:
        return pysam.TabixFile(str(path))
    except (OSError, ValueError, NotImplementedError) as error:
        raise StorageError(
            f"{path}: cannot be read by its index ({error}); it is damaged: delete it and its index, and run "
            "again to recreate them"
        ) from error


def _bed_blocks(frame: pd.DataFrame) -> Iterator[str]:
    for first in range(0, max(len(frame), 1), BLOCK_ROWS):
        yield as_text(frame.iloc[first : first + BLOCK_ROWS], header=not first)
