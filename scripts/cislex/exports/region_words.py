"""Regions by words: how often each word is hit in each region, and what the hits contribute (AnnData)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from cislex.files.annotated_matrix import write_h5ad
from cislex.files.tables import open_hdf5, read_regions
from cislex.files.text_tables import read_numbers
from cislex.syntax.placed_hits import place_hits


def write_region_words(attributions: str | Path, hits: str | Path, out: str | Path) -> None:
    """Write ``X`` (n regions, m words): numbers of hits; layer ``contribution``: sums of |contribution|.

    A hit belongs to the region whose middle is nearest, and hits that overlap by more than half count once,
    as in the tables of syntax.

    Parameters
    ----------
    attributions
        ``attributions.h5`` of the target, whose regions are the rows.
    hits
        ``hits.bed.gz`` of the target.
    out
        ``.h5ad`` to write: ``obs`` has the regions and their predictions, ``var`` the words and their names.

    Raises
    ------
    InputError
        When the files do not fit each other.
    StorageError
        When the folder cannot be written, or the disk is full.
    """
    placed = place_hits(hits, attributions)
    with open_hdf5(attributions, what="attributions", datasets=("prediction",)) as handle:
        rows = read_regions(handle).assign(prediction=handle["prediction"][...])
    shape = (len(rows), len(placed.words))
    counts, contributions = np.zeros(shape), np.zeros(shape)
    np.add.at(counts, (placed.region, placed.word), 1)
    np.add.at(contributions, (placed.region, placed.word), placed.weight)
    repeated = rows.groupby("name").cumcount()
    names = rows["name"].where(repeated == 0, rows["name"] + "." + repeated.astype(str))
    found = read_numbers(
        hits, texts=("#chrom", "motif", "word"), columns=lambda name: name in ("motif", "word")
    )
    shown = dict(zip(found["word"], found["motif"], strict=True)) if "word" in found else {}
    words = pd.DataFrame({"name": [shown.get(word, word) for word in placed.words]}, index=list(placed.words))
    rows.index = pd.Index(names)
    write_h5ad(
        out, counts, rows=rows.drop(columns="name"), columns=words, layers={"contribution": contributions}
    )
