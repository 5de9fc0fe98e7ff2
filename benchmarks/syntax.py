"""Time and memory of analyse_syntax on hits that are independent of each other.

Goal: 1,000,000 hits in 100,000 regions in under 5 minutes and 4 GB on two cores. Each size runs in a process
of its own, so its peak memory is its own. Prints a table; the last column counts calls at q < 0.05 (ideally
none).

    python benchmarks/syntax.py [--hits 100000 1000000] [--words 50 200]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from cislex.regions.extraction import REGION_COLUMNS, write_regions_bed
from cislex.syntax.analysis import analyse_syntax

LENGTH, WIDTH, HITS_PER_REGION = 1000, 12, 10


def write_inputs(folder: Path, *, hits: int, words: int) -> None:
    """Write hits whose words are unequally frequent and prefer the centres of the regions."""
    random = np.random.default_rng(0)
    count = hits // HITS_PER_REGION
    start = 1000 + 2 * LENGTH * np.arange(count)
    names = np.array([f"r{row}" for row in range(count)])
    regions = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + LENGTH, "name": names})
    regions = regions.assign(score=".", strand=".", source_line=np.arange(count) + 1)
    regions = regions.assign(peak_start=regions["start"], peak_end=regions["end"])
    write_regions_bed(regions[REGION_COLUMNS], folder / "regions.bed")
    row = random.integers(count, size=hits)
    low = random.normal(LENGTH / 2, LENGTH / 5, hits).clip(0, LENGTH - WIDTH).astype(int)
    share = np.arange(1, words + 1) ** -0.7
    word = random.choice(words, size=hits, p=share / share.sum())
    columns = {"#chrom": "chr1", "start": start[row] + low, "end": start[row] + low + WIDTH}
    table = pd.DataFrame(columns | {"motif": [f"pos_{number}" for number in word], "score": 900})
    table = table.assign(strand=random.choice(["+", "-"], hits), hit_coefficient=1.0, hit_similarity=0.9)
    table = table.assign(contribution=random.normal(1, 0.3, hits), analysis="a", region=names[row])
    table.to_csv(folder / "hits.bed.gz", sep="\t", index=False, float_format="%.6g")


def measure(folder: Path) -> tuple[float, float, float, int, int]:
    """Seconds of the clock and of the processor, peak memory (MB), rows and calls, in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (folder,))


def _measured(folder: Path) -> tuple[float, float, float, int, int]:
    began, busy = time.perf_counter(), time.process_time()
    found = analyse_syntax(folder / "hits.bed.gz", folder / "regions.bed", folder)
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    calls = int((found.syntax["q"] < 0.05).sum() + (found.periodicity["q"] < 0.05).sum())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return seconds, busy, memory, len(found.syntax), calls


def main() -> None:
    """Measure every number of hits with every number of words."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--hits", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--words", type=int, nargs="+", default=[50, 200])
    options = parser.parse_args()
    print("| hits | words | s | s of the processor | MB | rows | q < 0.05 |\n|---|---|---|---|---|---|---|")
    for hits in options.hits:
        for words in options.words:
            with tempfile.TemporaryDirectory() as folder:
                write_inputs(Path(folder), hits=hits, words=words)
                seconds, busy, memory, rows, calls = measure(Path(folder))
            cells = f"{hits:,} | {words} | {seconds:.0f} | {busy:.0f} | {memory:.0f} | {rows:,} | {calls}"
            print(f"| {cells} |", flush=True)


if __name__ == "__main__":
    main()
