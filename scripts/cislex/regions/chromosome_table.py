"""The table of a genome's chromosomes that ``index_genome`` writes and later steps read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cislex.errors import InputError
from cislex.files.tables import require_file
from cislex.files.text_tables import read_numbers, whole_numbers

COLUMNS = ("chrom", "length", "md5")


def read_chromosomes(path: str | Path) -> pd.DataFrame:
    """Read ``chromosomes.tsv``: ``chrom``, ``length`` (bp), ``md5``, in the order of the genome."""
    require_file(path, what="table of chromosomes")
    table = read_numbers(path, texts=("chrom", "md5"))
    if tuple(table) != COLUMNS:
        raise InputError(
            f"{path}: expected the columns {', '.join(COLUMNS)}; found {', '.join(map(str, table))}"
        )
    return table


def read_sizes(path: str | Path) -> dict[str, int]:
    """Length of each chromosome (bp) in the order of the genome, from ``chromosomes.tsv``."""
    table = read_chromosomes(path)
    if not len(table) or table["chrom"].duplicated().any():
        state = "names a chromosome twice" if len(table) else "has no rows"
        raise InputError(f"{path}: {state}; delete it and run again")
    return dict(zip(table["chrom"], whole_numbers(table, "length", path).tolist(), strict=True))
