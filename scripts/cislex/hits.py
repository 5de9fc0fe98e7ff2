"""Motif instances in every region: Fi-NeMo over the attributions, in coordinates of the genome.

Fi-NeMo explains each region's contributions as a sparse sum of motifs. It works in half precision, drops
rows and merges regions when it is given genome coordinates that overlap, and writes rows in an order that
varies: here each region is scaled to its own greatest score, hits are taken per region, and placed on the
genome, merged and sorted afterwards.
"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cislex.errors import CislexError, InputError, offenders
from cislex.logs import get_logger
from cislex.motif_io import Motif, TrimSettings, read_motifs
from cislex.storage import atomic_path, has_coordinates, open_hdf5, read_regions

COLUMNS = [
    *("#chrom", "start", "end", "motif", "score", "strand"),
    *("hit_coefficient", "hit_similarity", "contribution", "analysis", "region"),
]
#: Regions read from the file at once.
BLOCK = 2048

logger = get_logger("hits")


@dataclasses.dataclass(frozen=True)
class HitSettings:
    """Settings of Fi-NeMo.

    Parameters
    ----------
    sparsity
        Fi-NeMo's lambda (0 to 1): hits less similar to their motif than this are not reported.
    batch_size
        Regions solved at once; memory grows with it times the number of motifs.
    max_steps
        Steps after which a region counts as solved.
    device
        ``cpu``, or ``auto`` for a GPU where there is one. GPU results differ in the last digits.
    """

    sparsity: float = 0.7
    batch_size: int = 500
    max_steps: int = 10000
    device: str = "cpu"


def call_hits(
    attributions: str | Path,
    modisco: str | Path,
    out: str | Path,
    settings: HitSettings,
    *,
    analysis: str,
    trimming: TrimSettings | None = None,
    threads: int = 1,
) -> int:
    """Find the instances of each unflagged motif in the regions and write them as sorted, gzipped BED.

    Parameters
    ----------
    attributions
        ``attributions.h5`` of the target.
    modisco
        ``modisco.h5`` of the same target.
    out
        ``hits.bed.gz``: a header line, then one row a hit; 0-based half-open, sorted by chromosome name and
        position. A hit seen in overlapping regions is written once, with its greatest similarity; so is
        a palindrome that is hit on both strands at one place.
        Without motifs or coordinates the file has the header alone, and the log says why.
    settings
        Settings of Fi-NeMo.
    analysis
        Written in each row, so that hits of several analyses can be joined.
    trimming
        The same trimming and flagging as for ``annotate_motifs``.
    threads
        Threads of torch.

    Returns
    -------
    int
        Hits written.
    """
    motifs = [motif for motif in read_motifs(modisco, trimming) if not motif.flagged]
    with open_hdf5(attributions, what="attributions", datasets=("hypothetical", "sequences")) as handle:
        regions = read_regions(handle)
        reason = _why_empty(motifs, regions, handle["hypothetical"].shape[2])
        if reason:
            logger.warning("no hits were called: %s", reason)
            hits = pd.DataFrame(columns=COLUMNS)
        else:
            local = _run_finemo(handle, motifs, settings, threads)
            hits = _place_hits(local, handle, regions, analysis)
    _write_hits(hits, out)
    logger.info("%d hits of %d motifs in %d regions", len(hits), len(motifs), len(regions))
    return len(hits)


def _why_empty(motifs: Sequence[Motif], regions: pd.DataFrame, length: int) -> str:
    if not motifs:
        return "there is no motif that is not flagged"
    if not len(regions):
        return "there are no regions"
    if not has_coordinates(regions):
        return "the sequences have no coordinates on a genome"
    if length < max(motif.cwm.shape[1] for motif in motifs):
        return f"the regions ({length} bases) are shorter than the untrimmed motifs"
    return ""


def _run_finemo(
    handle: h5py.File, motifs: Sequence[Motif], settings: HitSettings, threads: int
) -> pd.DataFrame:
    """Hits within regions: columns ``row, start, end, motif, strand, hit_coefficient, hit_similarity``."""
    count, _, length = handle["hypothetical"].shape
    width = length - length % 2  # Fi-NeMo wants an even width; the last base of an odd one is left out
    with tempfile.TemporaryDirectory(prefix="cislex-hits-") as name:
        folder = Path(name)
        _write_arrays(handle, folder)
        _write_motifs(motifs, folder)
        # All regions begin at 0 of one made-up chromosome: hits come back in positions of their region.
        peak = f"regions\t0\t{width}\t.\t0\t.\t0\t0\t0\t{width // 2}\n"
        (folder / "peaks.narrowPeak").write_text(peak * count, encoding="utf-8")
        extract = ["extract-regions-modisco-fmt", "-s", "sequences.npy", "-a", "scores.npy"]
        extract += ["-p", "peaks.narrowPeak", "-o", "regions.npz", "-w", str(width)]
        call = ["call-hits", "-r", "regions.npz", "-m", "motifs.h5", "-o", "hits", "-N", "names.tsv"]
        call += ["-R", "cores.tsv", "-l", str(settings.sparsity), "-S", str(settings.max_steps)]
        call += ["-b", str(min(settings.batch_size, count))]
        _finemo(extract, folder, settings.device, threads)
        _finemo(call, folder, settings.device, threads)
        found = pd.read_csv(folder / "hits" / "hits.tsv", sep="\t")
    return found.rename(columns={"peak_id": "row", "motif_name": "motif"})


def _finemo(arguments: Sequence[str], folder: Path, device: str, threads: int) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    environment["POLARS_MAX_THREADS"] = str(threads)
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    done = subprocess.run(
        [sys.executable, "-m", "finemo", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    for line in (done.stdout + done.stderr).splitlines():
        logger.info("finemo: %s", line)
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise CislexError(
            f"finemo {arguments[0]} failed with status {done.returncode}: {last}; see the log above"
        )


def _write_arrays(handle: h5py.File, folder: Path) -> None:
    """Sequences (int8) and scores (float16), each region scaled to its greatest score.

    Fi-NeMo keeps scores in float16, where small ones vanish, and then scales each region itself, so
    that this scaling changes nothing but the precision.
    """
    shape = handle["hypothetical"].shape
    sequences = np.lib.format.open_memmap(folder / "sequences.npy", mode="w+", dtype=np.int8, shape=shape)
    scores = np.lib.format.open_memmap(folder / "scores.npy", mode="w+", dtype=np.float16, shape=shape)
    for start in range(0, shape[0], BLOCK):
        block = slice(start, start + BLOCK)
        values = handle["hypothetical"][block].astype(np.float32)
        is_finite = np.isfinite(values).all(axis=(1, 2))
        if not is_finite.all():
            rows = offenders(start + np.flatnonzero(~is_finite))
            raise InputError(f"{handle.filename}: attributions are NaN or infinite in rows {rows}")
        greatest = np.abs(values).max(axis=(1, 2), keepdims=True)
        scores[block] = values / np.where(greatest > 0, greatest, 1.0)
        sequences[block] = handle["sequences"][block]
    sequences.flush()
    scores.flush()


def _write_motifs(motifs: Sequence[Motif], folder: Path) -> None:
    """The oriented motifs in modisco-lite's layout, with their cores and names, as Fi-NeMo reads them."""
    width = max(motif.cwm.shape[1] for motif in motifs)
    names, cores = [], []
    with h5py.File(folder / "motifs.h5", "w") as handle:
        for number, motif in enumerate(motifs):
            kind = "pos_patterns" if motif.sign == "+" else "neg_patterns"
            group = handle.create_group(f"{kind}/pattern_{number}")
            padding = ((0, width - motif.cwm.shape[1]), (0, 0))
            group["contrib_scores"] = np.pad(motif.cwm.T, padding)
            group["hypothetical_contribs"] = np.pad(motif.hypothetical.T, padding)
            group["sequence"] = np.pad(motif.ppm.T, padding, constant_values=0.25)
            names.append(f"{kind}.pattern_{number}\t{motif.name}\n")
            cores.append(f"{motif.name}\t{motif.start}\t{motif.end}\n")
    (folder / "names.tsv").write_text("".join(names), encoding="utf-8")
    (folder / "cores.tsv").write_text("".join(cores), encoding="utf-8")


def _place_hits(local: pd.DataFrame, handle: h5py.File, regions: pd.DataFrame, analysis: str) -> pd.DataFrame:
    """Hits on the genome, merged over overlapping regions and sorted."""
    length = handle["hypothetical"].shape[2]
    local = local.astype({"row": np.int64, "start": np.int64, "end": np.int64})
    local = local[(local["start"] >= 0) & (local["end"] <= length)]
    local = local.sort_values(["row", "start", "motif", "strand"], ignore_index=True)
    where = regions.iloc[local["row"]].reset_index(drop=True)
    is_minus = (where["strand"] == "-").to_numpy()
    begin, finish = where["start"].to_numpy(), where["end"].to_numpy()
    # Minus-strand regions were reverse-complemented: position p of theirs is genome position end - 1 - p.
    start = np.where(is_minus, finish - local["end"], begin + local["start"])
    end = np.where(is_minus, finish - local["start"], begin + local["end"])
    strand = np.where(is_minus, local["strand"].map({"+": "-", "-": "+"}), local["strand"])
    hits = pd.DataFrame(
        {
            "#chrom": where["chrom"],
            "start": start.astype(np.int64),
            "end": end.astype(np.int64),
            "motif": local["motif"],
            "score": (1000 * local["hit_similarity"].clip(0, 1)).round().astype(np.int64),
            "strand": strand,
            "hit_coefficient": local["hit_coefficient"],
            "hit_similarity": local["hit_similarity"],
            "contribution": _contributions(local, handle),
            "analysis": analysis,
            "region": where["name"],
        },
        columns=COLUMNS,
    )
    key = ["#chrom", "start", "end", "motif", "strand"]
    hits = hits.sort_values([*key, "hit_similarity", "region"], ascending=[True] * 5 + [False, True])
    return _merge_strands(hits.drop_duplicates(key).reset_index(drop=True))


def _merge_strands(hits: pd.DataFrame) -> pd.DataFrame:
    """Leave one of the two hits that a palindrome gets at one place, one a strand: the more similar one."""
    ordered = hits.sort_values(["#chrom", "motif", "start", "end", "strand"], kind="stable")
    starts, ends = ordered["start"].to_numpy(), ordered["end"].to_numpy()
    same = (ordered[["#chrom", "motif"]] == ordered[["#chrom", "motif"]].shift()).all(axis=1).to_numpy()
    turned = (ordered["strand"] != ordered["strand"].shift()).to_numpy()
    similarity = ordered["hit_similarity"].to_numpy()
    dropped = np.zeros(len(hits), dtype=bool)
    last = -1
    for this in range(len(hits)):
        if (
            last >= 0
            and same[this]
            and turned[this]
            and 2 * (ends[last] - starts[this]) >= ends[last] - starts[last]
        ):
            loser = this if similarity[this] <= similarity[last] else last
            dropped[loser] = True
            last = last if loser == this else this
        else:
            last = this
    return hits.drop(ordered.index[dropped]).reset_index(drop=True)


def _contributions(local: pd.DataFrame, handle: h5py.File) -> NDArray[np.float64]:
    """Sum of the observed bases' contributions under each hit (sorted by row)."""
    total = np.zeros(len(local))
    rows = local["row"].to_numpy()
    for first in range(0, handle["hypothetical"].shape[0], BLOCK):
        chosen = slice(*np.searchsorted(rows, [first, first + BLOCK]))
        if chosen.start == chosen.stop:
            continue
        block = slice(first, first + BLOCK)
        observed = (handle["hypothetical"][block].astype(np.float64) * handle["sequences"][block]).sum(axis=1)
        running = np.pad(observed.cumsum(axis=1), ((0, 0), (1, 0)))
        part = local.iloc[chosen]
        row = rows[chosen] - first
        total[chosen] = running[row, part["end"]] - running[row, part["start"]]
    return total


def _write_hits(hits: pd.DataFrame, out: str | Path) -> None:
    """Write the table gzipped; without a time stamp, so that equal hits make equal files."""
    text = hits.to_csv(
        sep="\t", index=False, float_format="%.6g", lineterminator="\n", quoting=csv.QUOTE_NONE
    )  # names stand as in regions.bed
    with atomic_path(out) as temporary:
        temporary.write_bytes(gzip.compress(text.encode(), mtime=0))


def read_hits(path: str | Path) -> pd.DataFrame:
    """Read ``hits.bed.gz``; the first column is called ``chrom``."""
    texts = dict.fromkeys(("#chrom", "motif", "strand", "analysis", "region"), "str")
    frame = pd.read_csv(path, sep="\t", dtype=texts, na_filter=False, quoting=csv.QUOTE_NONE)
    return frame.rename(columns={"#chrom": "chrom"})
