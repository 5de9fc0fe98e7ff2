"""Instances of words or motifs in every region, in genome coordinates: by Fi-NeMo, or by a scan.

Fi-NeMo explains each region's contributions as a sparse sum of motifs. It works in half precision, drops
rows and merges regions when it is given genome coordinates that overlap, and writes rows in an order that
varies: here each region is scaled to its own greatest score, hits are taken per region, and placed on the
genome, merged and sorted afterwards.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.chunks.spans import ERROR, span_errors
from cislex.errors import ConfigError, InputError, offenders
from cislex.files.indexed_text import write_indexed_bed
from cislex.files.tables import has_coordinates, open_hdf5, read_regions, require_file
from cislex.files.text_tables import read_text, table_named
from cislex.files.unpacked_rows import unpack_rows
from cislex.logs import get_logger
from cislex.motifs.files import Motif, TrimSettings, read_motifs
from cislex.motifs.finemo_runs import HitSettings, blocks_of, core_margins, find_hits
from cislex.motifs.palindromes import merge_strands, own_shift
from cislex.motifs.scanning import SCAN_COLUMNS, ScannedMotif, ScanSettings, read_scanned, scan_sites
from cislex.regions.extraction import bed_names
from cislex.regions.strands import on_genome
from cislex.wording import counted

COLUMNS = [
    *("#chrom", "start", "end", "motif", "score", "strand", "word", "pattern"),
    *("hit_coefficient", "hit_similarity", "contribution", "share", "analysis", "region"),
]
#: What each way to find hits says of them.
OWN_COLUMNS = ("hit_coefficient", "hit_similarity", *SCAN_COLUMNS)
#: Columns that are text.
TEXTS = ("#chrom", "motif", "strand", "word", "pattern", "analysis", "region")
logger = get_logger("hits")


def call_hits(
    attributions: str | Path,
    modisco: str | Path,
    out: str | Path,
    settings: HitSettings | ScanSettings,
    *,
    analysis: str,
    names: str | Path | None = None,
    trimming: TrimSettings | None = None,
    threads: int = 1,
) -> int:
    """Find the instances of each unflagged motif in the regions and write them as sorted, indexed BED.

    Parameters
    ----------
    attributions
        ``attributions.h5`` of the target.
    modisco
        The motifs: ``lexicon.h5``, whose words may come from any target (composites of words are not looked
        for), or ``modisco.h5`` of the same target. For a scan also a MEME file.
    out
        ``hits.bed.gz``, in blocks of gzip and with an index (:func:`write_indexed_bed`): a header line, then
        one row a hit; 0-based half-open, sorted by chromosome name and position. A hit seen in overlapping
        regions is written once, with its greatest similarity; so is a palindrome that is hit on both strands
        at one place. Of sequences given directly ``#chrom`` is the name, and positions count from their
        beginning.
        Without motifs the file has the header alone, and the log says why.
    settings
        Of Fi-NeMo, or of a scan of the sequences, whose hits have ``log_odds`` and ``p`` in place of a
        coefficient and a similarity.
    analysis
        Written in each row, so that hits of several analyses can be joined.
    names
        ``lexicon.tsv``, to write the words' names in the column ``motif``; None: that is what ``word`` is.
    trimming
        The same trimming and flagging as for ``combine_lexicon`` or ``annotate_motifs``.
    threads
        Threads of torch or numba.

    Returns
    -------
    int
        Hits written.

    Raises
    ------
    ConfigError
        When the searched window is wider than the regions.
    InputError
        When attributions are not finite, or ``names`` is of another lexicon.
    """
    is_scan = isinstance(settings, ScanSettings)
    motifs = read_scanned(modisco, trimming) if is_scan else _unflagged(modisco, trimming)
    described = _describe(motifs, names)
    columns = [*COLUMNS, *SCAN_COLUMNS] if is_scan else COLUMNS
    with open_hdf5(attributions, what="attributions", datasets=("hypothetical", "sequences")) as handle:
        regions = read_regions(handle)
        place = _window(handle["hypothetical"].shape[2], settings)
        if not has_coordinates(regions):
            regions = regions.assign(
                chrom=bed_names(regions)
            )  # start is 0: hits are relative to the sequence
        reason = _why_empty(motifs, regions, place.stop - place.start)
        if reason:
            logger.warning("no hits were called: %s", reason)
            hits = pd.DataFrame(columns=columns)
        else:
            local = _find(handle, motifs, place, settings, threads)
            shifts = {_identifier(motif): own_shift(_core(motif)) for motif in motifs}
            hits = _place_hits(local, handle, regions, place, shifts).assign(analysis=analysis)
            columns = [*columns, ERROR] if ERROR in hits else columns
            hits = hits.join(described, on="word").reindex(columns=columns)
    write_indexed_bed(hits, out)
    counts = (len(hits), "hit"), (len(motifs), "motif"), (len(regions), "region")
    logger.info("%s of %s in %s", *(counted(number, one) for number, one in counts))
    return len(hits)


def _find(
    handle: h5py.File,
    motifs: Sequence[Motif] | Sequence[ScannedMotif],
    place: slice,
    settings: HitSettings | ScanSettings,
    threads: int,
) -> pd.DataFrame:
    """Hits in positions of the window, with ``score`` of BED and the ``rank`` by which one of two stays."""
    if isinstance(settings, ScanSettings):
        scanned = [motif for motif in motifs if isinstance(motif, ScannedMotif)]
        found = scan_sites(handle, scanned, place, settings, threads=threads)
        tenths = (-100 * np.log10(found["p"].astype(float))).clip(0, 1000)
        return found.assign(score=tenths.round().astype(np.int64), rank=found["log_odds"])
    explained = [motif for motif in motifs if isinstance(motif, Motif)]
    found = find_hits(handle, explained, place, settings, threads=threads)
    thousandths = (1000 * found["hit_similarity"].clip(0, 1)).round().astype(np.int64)
    return found.assign(score=thousandths, rank=found["hit_similarity"])


def _unflagged(path: str | Path, trimming: TrimSettings | None) -> list[Motif]:
    return [motif for motif in read_motifs(path, trimming) if not motif.flagged]


def _identifier(motif: Motif | ScannedMotif) -> str:
    return motif.name if isinstance(motif, Motif) else motif.identifier


def _core(motif: Motif | ScannedMotif) -> NDArray[np.float64]:
    """What a hit is as wide as: contributions, or frequencies less those of a base at random."""
    matrix = motif.core_cwm if isinstance(motif, Motif) else motif.ppm - 0.25
    return np.asarray(matrix, dtype=np.float64)


def read_margins(modisco: str | Path, trimming: TrimSettings | None = None) -> dict[str, tuple[int, int]]:
    """Columns around the core of each word that :func:`call_hits` with Fi-NeMo wants in the searched window.

    Arguments are those of :func:`call_hits`; see :func:`cislex.motifs.finemo_runs.core_margins`.
    """
    return core_margins(_unflagged(modisco, trimming))


def _describe(motifs: Sequence[Motif] | Sequence[ScannedMotif], path: str | Path | None) -> pd.DataFrame:
    """``motif`` (the name) and ``pattern`` of each word, by its identifier."""
    words = [_identifier(motif) for motif in motifs]
    table = pd.DataFrame(
        {"motif": [m.name for m in motifs], "pattern": [m.pattern for m in motifs]}, index=words
    )
    if path is None:
        return table.astype("str")
    named = read_text(require_file(path, what="lexicon"), columns=lambda name: name in ("word", "name"))
    names = dict(zip(named["word"], named["name"], strict=True))
    unnamed = [word for word in words if word not in names]
    if unnamed:
        raise InputError(f"{path}: no name for {offenders(unnamed)}; combine the lexicon again")
    return table.assign(motif=[names[word] for word in words]).astype("str")


def _window(length: int, settings: HitSettings | ScanSettings) -> slice:
    """Positions that are searched; of an odd number the last is left out, as Fi-NeMo wants it even."""
    width = length if settings.window is None else settings.window
    if width > length:
        raise ConfigError(
            f"hits.window (by default motifs.window) is {width}, but regions are {length} bases long; set "
            f"hits: {{window: {length}}} or less"
        )
    low = (length - width) // 2
    return slice(low, low + width - width % 2)


def _why_empty(motifs: Sequence[Motif] | Sequence[ScannedMotif], regions: pd.DataFrame, length: int) -> str:
    if not motifs:
        return "there is no unflagged motif"
    if not len(regions):
        return "there are no regions"
    widths = [(m.cwm if isinstance(m, Motif) else m.ppm).shape[1] for m in motifs]
    if length < (max(widths) if isinstance(motifs[0], Motif) else min(widths)):
        return f"what is searched ({length} bases) is shorter than the motifs ({max(widths)}, untrimmed)"
    return ""


def _place_hits(
    local: pd.DataFrame,
    handle: h5py.File,
    regions: pd.DataFrame,
    place: slice,
    shifts: Mapping[str, int | None],
) -> pd.DataFrame:
    """Hits on the genome, merged over overlapping regions and strands of palindromes, and sorted."""
    length = handle["hypothetical"].shape[2]
    local = local.astype({"row": np.int64, "start": np.int64, "end": np.int64})
    local[["start", "end"]] += place.start
    local = local[(local["start"] >= 0) & (local["end"] <= length)]
    local = local.sort_values(["row", "start", "motif", "strand"], ignore_index=True)
    where = regions.iloc[local["row"]].reset_index(drop=True)
    is_minus = (where["strand"] == "-").to_numpy()
    start, end = on_genome(where, local["start"], local["end"])
    strand = np.where(is_minus, local["strand"].map({"+": "-", "-": "+"}), local["strand"])
    contribution, share = _contributions(local, handle, place)
    columns = (local[name].to_numpy(np.int64) for name in ("row", "start", "end"))
    errors = span_errors(handle, *columns)
    hits = pd.DataFrame(
        {
            "#chrom": where["chrom"],
            "start": start,
            "end": end,
            "score": local["score"],
            "strand": strand,
            "word": local["motif"],
            "contribution": contribution,
            "share": share,
            **({} if errors is None else {ERROR: errors}),
            "region": where["name"],
            "rank": local["rank"],
            **{name: local[name] for name in OWN_COLUMNS if name in local},
        }
    )
    key = ["#chrom", "start", "end", "word", "strand"]
    hits = hits.sort_values([*key, "rank", "region"], ascending=[True] * 5 + [False, True])
    return merge_strands(hits.drop_duplicates(key).reset_index(drop=True), shifts)


def _contributions(
    local: pd.DataFrame, handle: h5py.File, place: slice
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum of the observed bases' contributions under each hit (sorted by row), and share of the region's.

    The share is of sums of absolute contributions: of the hit's bases, over those of the searched window.
    """
    total, share = np.zeros(len(local)), np.zeros(len(local))
    rows = local["row"].to_numpy()
    count, _, length = handle["hypothetical"].shape
    for first, last in blocks_of(count, length):
        chosen = slice(*np.searchsorted(rows, [first, last]))
        if chosen.start == chosen.stop:
            continue
        values = unpack_rows(handle["hypothetical"], first, last).astype(np.float64)
        values *= unpack_rows(handle["sequences"], first, last)
        observed = values.sum(axis=1)
        row, start, end = rows[chosen] - first, local["start"][chosen], local["end"][chosen]
        running = np.pad(observed.cumsum(axis=1), ((0, 0), (1, 0)))
        total[chosen] = running[row, end] - running[row, start]
        running = np.pad(np.abs(observed).cumsum(axis=1), ((0, 0), (1, 0)))
        window = running[row, place.stop] - running[row, place.start]
        share[chosen] = (running[row, end] - running[row, start]) / np.where(window > 0, window, 1.0)
    return total, share


def read_hits(path: str | Path) -> pd.DataFrame:
    """Read ``hits.bed.gz``; the first column is called ``chrom``.

    Files of before (plain gzip) lack the columns ``word``, ``pattern`` and ``share``; what ``motif`` names
    in them is a motif of the target's own.

    Raises
    ------
    InputError
        The file is missing, or no such table.
    """
    require_file(path, what="hits")
    texts = dict.fromkeys(TEXTS, "str")
    missing = {name: [""] for name in ("hit_coefficient", "hit_similarity")}
    with table_named(path):
        frame = pd.read_csv(
            path, sep="\t", dtype=texts, keep_default_na=False, na_values=missing, quoting=csv.QUOTE_NONE
        )
    return frame.rename(columns={"#chrom": "chrom"})
