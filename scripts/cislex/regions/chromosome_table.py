"""The table of a genome's chromosomes that ``index_genome`` writes and later steps read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cislex.errors import InputError
from cislex.files.tables import require_file
from cislex.files.text_tables import read_numbers

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
    return dict(zip(table["chrom"], table["length"].astype(int).tolist(), strict=True))
