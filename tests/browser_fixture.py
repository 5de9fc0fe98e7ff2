"""Inputs of the folder for genome browsers, over the planted regions."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import h5py
import motif_fixtures
import numpy as np
import pandas as pd
import pyBigWig
from cislex.exports.browser_specs import BrowserGenome, BrowserSettings, BrowserTarget, BrowserVariants
from cislex.files.indexed_text import write_indexed_bed
from cislex.files.tables import read_regions, write_table
from cislex.regions.genome import index_genome


def write_inputs(planted: motif_fixtures.Planted, folder: Path) -> dict[str, Any]:
    """Arguments of export_browser over the planted regions: two targets, hits, labels and variants."""
    made = [folder / name for name in ("chromosomes.tsv", "g.fai", "g.gzi")]
    index_genome(planted.fasta, *made)
    rng = np.random.default_rng(0)
    shutil.copyfile(planted.attributions, folder / "attributions.h5")
    with h5py.File(folder / "attributions.h5", "r+") as handle:
        regions = read_regions(handle)
        values = rng.normal(size=len(regions)).astype(np.float32)
        handle["prediction"] = values
    sizes = motif_fixtures.CHROMOSOMES
    with pyBigWig.open(str(folder / "c.bw"), "w") as track:
        track.addHeader(list(sizes.items()))
        track.addEntries("chr2", 10, values=[1.0, -1.0], span=1, step=1)
    predictions = regions.assign(a=values, b=-values)
    write_table(predictions, folder / "predictions.tsv")
    labels = predictions.drop(columns=["a", "b"]).assign(**{"a.observed": rng.normal(size=len(regions))})
    labels.loc[3, "a.observed"] = np.nan
    write_table(labels, folder / "observed.tsv")
    bed = regions.rename(columns={"chrom": "#chrom"})[["#chrom", "start", "end", "name"]].assign(
        score=".", strand=regions["strand"], peak_start=regions["start"] - 5, peak_end=regions["start"] + 50,
        source_line=1,
    )  # fmt: skip
    write_table(bed, folder / "regions.bed")
    hits = pd.DataFrame(
        {
            "#chrom": regions["chrom"], "start": regions["start"] + 90, "end": regions["start"] + 100,
            "motif": "AB::C", "score": 900, "strand": "-", "word": "pos_0", "pattern": "p",
            "hit_coefficient": 1.0, "hit_similarity": 0.9, "contribution": rng.normal(size=len(regions)),
            "share": 0.5, "analysis": "x", "region": regions["name"],
        }
    ).sort_values(["#chrom", "start"])  # fmt: skip
    write_indexed_bed(hits, folder / "hits.bed.gz")
    variants = pd.DataFrame(
        {"chrom": ["chr2", "chr10"], "pos": [5, 100], "ref": ["A", "AC"], "alt": ["G", "A"],
         "id": ["rs1", "."], "a.effect": [1.5, -2.0], "a.p": [1e-3, 1e-30], "a.q": [0.1, 0.01]}
    )  # fmt: skip
    write_table(variants, folder / "variants.tsv")
    target = {"analysis": "x", "attributions": folder / "attributions.h5",
              "contributions": folder / "c.bw", "predictions": folder / "predictions.tsv"}  # fmt: skip
    return {
        "targets": [
            BrowserTarget(target="a", hits=folder / "hits.bed.gz", observed=folder / "observed.tsv",
                          signals={"bigwig": folder / "c.bw"}, **target),
            BrowserTarget(target="b", **target),
        ],
        "genome": BrowserGenome(made[0], planted.fasta, made[1], made[2]),
        "regions": {"mine": folder / "regions.bed"},
        "variants": [BrowserVariants("calls", folder / "variants.tsv", ["a"])],
        "settings": BrowserSettings("What does it read? <naïve> & more", page_regions=2),
    }  # fmt: skip
