"""Regions, hits and variants as intervals that genome browsers draw (bigBed)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cislex.files.bigbed import Column, write_bigbed
from cislex.files.text_tables import read_numbers
from cislex.logs import get_logger
from cislex.regions.extraction import read_regions_bed

#: Colours of what raises and what lowers a prediction, and of what does neither.
RAISES, LOWERS, NEITHER = "178,24,43", "33,102,172", "90,90,90"
#: Columns of hits that are shown beside the standard ones, where the file has them.
HIT_COLUMNS = (
    Column("word", "string", "Identifier of the word in the lexicon"),
    Column("contribution", "float", "Sum of the contributions of the bases under the hit"),
    Column("contributionError", "float", "Upper bound of the standard error of the contribution"),
    Column("share", "float", "Share of the region's absolute contribution under the hit"),
    Column("similarity", "float", "Cosine similarity with the contributions of the word"),
    Column("logOdds", "float", "Log-odds of the site in bits"),
    Column("p", "float", "Chance that a position of one strand scores as much"),
    Column("region", "string", "Region in which the hit was found"),
)
#: Their names in ``hits.bed.gz``, where these differ.
IN_HITS = {
    "contributionError": "contribution_error",
    "similarity": "hit_similarity",
    "logOdds": "log_odds",
}

logger = get_logger("browser")


def write_hits(hits: str | Path, out: str | Path, sizes: Mapping[str, int]) -> tuple[Column, ...] | None:
    """Write the hits of a target as bigBed; red ones raise the prediction, blue ones lower it.

    Parameters
    ----------
    hits
        ``hits.bed.gz`` of a target.
    out
        ``.bb`` to write.
    sizes
        Length of each chromosome (bp).

    Returns
    -------
    tuple of Column or None
        The columns beside the standard ones; None, and no file, where there is no hit.
    """
    texts = ("#chrom", "motif", "strand", "word", "region")
    wanted = {*texts, "start", "end", "score", *(IN_HITS.get(name, name) for name, _, _ in HIT_COLUMNS)}
    table = read_numbers(hits, texts=texts, columns=lambda name: name in wanted)
    if table.empty:
        logger.info("%s: no hit, so no track of hits", hits)
        return None
    effect = table["contribution"] if "contribution" in table else pd.Series(0, index=table.index)
    extra = tuple(
        column
        for column in HIT_COLUMNS
        if (name := IN_HITS.get(column.name, column.name)) in table and (table[name].astype(str) != "").any()
        and not table[name].isna().all()
    )  # fmt: skip
    frame = pd.DataFrame(
        {
            "chrom": table["#chrom"],
            "start": table["start"],
            "end": table["end"],
            "name": table["motif"],
            "score": table["score"].round().clip(0, 1000).fillna(0).astype(int),
            "strand": table["strand"],
            "thick_start": table["start"],
            "thick_end": table["end"],
            "color": _colors(effect),
            **{column.name: table[IN_HITS.get(column.name, column.name)] for column in extra},
        }
    )
    write_bigbed(frame, out, sizes, table="hits", comment="Motif hits", extra=extra)
    return extra


def write_regions(bed: str | Path, out: str | Path, sizes: Mapping[str, int]) -> tuple[Column, ...] | None:
    """Write the regions of a set as bigBed: windows as the model reads them, with a thick part, the peak.

    Parameters and the result are as in :func:`write_hits`; ``bed`` is ``regions.bed`` of the set.
    """
    table = read_regions_bed(bed)
    if table.empty:
        logger.info("%s: no region, so no track of regions", bed)
        return None
    score = pd.to_numeric(table["score"], errors="coerce").fillna(0).round().clip(0, 1000).astype(int)
    low = table["peak_start"].clip(table["start"], table["end"])
    high = table["peak_end"].clip(low, table["end"])
    frame = pd.DataFrame(
        {
            "chrom": table["chrom"], "start": table["start"], "end": table["end"], "name": table["name"],
            "score": score, "strand": table["strand"], "thick_start": low, "thick_end": high,
            "color": NEITHER,
        }
    )  # fmt: skip
    write_bigbed(frame, out, sizes, table="regions", comment="Regions that the model read; thick: the peak")
    return ()


def write_variants(
    table: str | Path, out: str | Path, sizes: Mapping[str, int], targets: Sequence[str]
) -> tuple[Column, ...] | None:
    """Write scored variants as bigBed, coloured by the effect of the target with the smallest p-value.

    Parameters and the result are as in :func:`write_hits`; ``table`` is ``variants.tsv`` of a set, and
    ``targets`` are those with columns in it. The score is −100 × log10 of the smallest p-value.
    """
    found = read_numbers(table, texts=("chrom", "ref", "alt", "id"))
    if found.empty:
        logger.info("%s: no variant, so no track of variants", table)
        return None
    p = pd.DataFrame(
        {t: found.get(f"{t}.p", pd.Series(np.nan, index=found.index)) for t in targets}, dtype=float
    )
    effects = pd.DataFrame({t: found[f"{t}.effect"] for t in targets}, dtype=float)
    by = p.fillna(2).to_numpy() if p.notna().to_numpy().any() else -effects.abs().fillna(0).to_numpy()
    strongest = effects.to_numpy()[np.arange(len(found)), by.argmin(axis=1)]
    with np.errstate(divide="ignore"):
        score = np.nan_to_num(-100 * np.log10(p.min(axis=1).fillna(1).to_numpy()), posinf=1000)
    start = found["pos"].astype(int) - 1
    named = found["id"].where(~found["id"].isin(["", "."]), found["ref"] + ">" + found["alt"])
    columns: dict[str, pd.Series] = {"ref": found["ref"], "alt": found["alt"]}
    extra = [Column("ref", "string", "Reference allele"), Column("alt", "string", "Other allele")]
    for number, target in enumerate(targets, start=1):
        for name, text in (("effect", "Effect on"), ("p", "p-value of the effect on"), ("q", "q-value of")):
            if f"{target}.{name}" in found:
                columns[f"{name}{number}"] = found[f"{target}.{name}"]
                extra.append(Column(f"{name}{number}", "float", f"{text} {target}"))
    frame = pd.DataFrame(
        {
            "chrom": found["chrom"], "start": start, "end": start + found["ref"].str.len(), "name": named,
            "score": score.clip(0, 1000).round().astype(int), "strand": ".", "thick_start": start,
            "thick_end": start + found["ref"].str.len(),
            "color": _colors(pd.Series(strongest, index=found.index)),
            **columns,
        }
    )  # fmt: skip
    write_bigbed(frame, out, sizes, table="variants", comment="Effects of variants", extra=extra)
    return tuple(extra)


def _colors(effects: pd.Series) -> pd.Series:
    """Colour of each effect by its sign."""
    values = effects.to_numpy(float)
    return pd.Series(np.select([values > 0, values < 0], [RAISES, LOWERS], NEITHER), index=effects.index)
