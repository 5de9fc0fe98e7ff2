"""Scores as a VCF: one record per allele, compressed in blocks, with an index."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cislex import __version__
from cislex.errors import ConfigError, offenders
from cislex.files.indexed_text import TBI_END, write_indexed
from cislex.files.text_tables import read_text

#: Columns of the table of scores that are INFO fields, with what they are.
FIELDS = {
    "effect": "alternative minus reference (profiles: with the same weights), mean over the folds",
    "logfc": "log2 fold change of counts",
    "jsd": "Jensen-Shannon distance of the profiles, mean over the folds, with the sign of the effect",
    "p": "two-sided p-value against shuffled contexts",
    "q": "Benjamini-Hochberg false discovery rate",
    "quantile": "quantile of the more active allele among the regions",
}


def write_vcf(
    scores: str | Path, out: str | Path, *, targets: Sequence[str], lengths: Mapping[str, int]
) -> None:
    """Write the scores as a sorted VCF in blocks of gzip, with its index beside it.

    Parameters
    ----------
    scores
        ``variants.tsv``.
    out
        ``variants.vcf.gz``: the alleles as they are in the file of variants, by the genome's names; see
        :func:`cislex.files.indexed_text.write_indexed`.
    targets
        Whose columns become INFO fields ``{target}_{column}``; letters that INFO cannot have become ``_``.
    lengths
        Chromosomes of the genome, in its order.

    Raises
    ------
    ConfigError
        When names of targets differ only by letters that INFO cannot have.
    StorageError
        When the folder cannot be written, or the disk is full.
    """
    table = read_text(scores)
    keys = _keys(table, targets)
    order = {name: number for number, name in enumerate(lengths)}
    positions = table["pos"].astype(np.int64)
    is_long = len(table) > 0 and int((positions + table["ref"].str.len()).max()) > TBI_END
    table = table.iloc[np.lexsort((positions, table["chrom"].map(order)))]
    write_indexed(_lines(table, keys, lengths), out, preset="vcf", is_long=is_long)


def _keys(table: pd.DataFrame, targets: Sequence[str]) -> dict[str, tuple[str, str]]:
    """INFO key of each column, and what it is."""
    found: dict[str, tuple[str, str]] = {}
    for target in targets:
        for field, meaning in FIELDS.items():
            if f"{target}.{field}" in table:
                key = re.sub(r"[^A-Za-z0-9_]", "_", f"{target}_{field}")
                found[f"{target}.{field}"] = (f"_{key}" if key[0].isdigit() else key, f"{target}: {meaning}")
    keys = [key for key, _ in found.values()]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise ConfigError(f"targets: two have the same INFO fields in a VCF: {offenders(twice)}; rename one")
    return found


def _lines(
    table: pd.DataFrame, keys: Mapping[str, tuple[str, str]], lengths: Mapping[str, int]
) -> Iterator[str]:
    yield f"##fileformat=VCFv4.3\n##source=cislex {__version__}\n"
    for name, length in lengths.items():
        yield f"##contig=<ID={name},length={length}>\n"
    for key, meaning in keys.values():
        yield f'##INFO=<ID={key},Number=1,Type=Float,Description="{meaning}">\n'
    yield "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    first = [table[name] for name in ("chrom", "pos", "id", "ref", "alt")]
    info = [table[name] for name in keys]
    names = [key for key, _ in keys.values()]
    for row in zip(*first, *info, strict=True):
        fields = [f"{key}={value}" for key, value in zip(names, row[5:], strict=True) if value]
        name = re.sub(r"\s+", "_", row[2]) or "."  # white space is no part of an ID
        yield "\t".join((*row[:2], name, *row[3:5], ".", ".", ";".join(fields) or ".")) + "\n"
