"""How calling and naming seqlets grows with the regions: four known motifs planted in each, amid noise.

    python benchmarks/seqlets.py [--regions 2000,10000] [--length 500] [--out FILE]

Named by JASPAR's vertebrates. Each size runs in a process of its own, so that its peak memory is its own;
kernels are compiled before. Also told: the share of planted sites that a seqlet overlaps, the share of
seqlets that overlap none, and the share of overlapped sites whose seqlet has a significant match, and that of
the planted matrix itself. Seconds of the processor say more than those of the clock on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from workers import each_size

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts")]

#: Motifs to plant, sites of each region, strength of a site and spread of the noise.
MOTIFS, SITES, STRENGTH, NOISE = 40, 4, 0.3, 0.01
BLOCK = 500


def write_attributions(path: Path, known: list, regions: int, length: int) -> pd.DataFrame:
    """``attributions.h5`` with planted sites, which are returned: region, start, end, identifier."""
    import h5py
    from cislex.files.tables import write_regions

    rng = np.random.default_rng(0)
    sites = []
    with h5py.File(path, "w") as handle:
        shape, chunks = (regions, 4, length), (16, 4, length)
        stored = handle.create_dataset("hypothetical", shape, "f4", chunks=chunks)
        given = handle.create_dataset("sequences", shape, "u1", chunks=chunks)
        for first in range(0, regions, BLOCK):
            count = min(BLOCK, regions - first)
            sequences = (
                np.eye(4, dtype=np.uint8)[rng.integers(0, 4, (count, length))].transpose(0, 2, 1).copy()
            )
            hypothetical = rng.laplace(0, NOISE, (count, 4, length)).astype(np.float32)
            for row in range(count):
                for site in range(SITES):
                    motif = known[int(rng.integers(len(known)))]
                    width, start = motif.ppm.shape[1], 20 + site * (length - 40) // SITES
                    drawn = [rng.choice(4, p=column) for column in motif.ppm.T]
                    sequences[row, :, start : start + width] = np.eye(4, dtype=np.uint8)[drawn].T
                    hypothetical[row, :, start : start + width] += STRENGTH * (motif.ppm - 0.25)
                    sites.append((f"region{first + row}", start, start + width, motif.identifier))
            stored[first : first + count], given[first : first + count] = hypothetical, sequences
        names = [f"region{n}" for n in range(regions)]
        frame = pd.DataFrame({"chrom": "chr1", "start": np.arange(regions) * length, "name": names})
        write_regions(handle, frame.assign(end=frame["start"] + length, strand="+"))
    return pd.DataFrame(sites, columns=["name", "start", "end", "motif"])


def measure(regions: int, length: int) -> dict[str, float]:
    """Call and name the seqlets of so many regions; called in a process of its own."""
    from cislex.motifs.databases import fetch_motif_database
    from cislex.motifs.files import read_meme
    from cislex.motifs.seqlets import call_seqlets

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fetch_motif_database("jaspar-vertebrates", folder / "known.meme")
        known = read_meme(folder / "known.meme")[:MOTIFS]
        databases = {"jaspar": folder / "known.meme"}
        write_attributions(folder / "warm.h5", known, 20, length)
        call_seqlets(folder / "warm.h5", folder / "warm.tsv.gz", databases=databases)
        sites = write_attributions(folder / "a.h5", known, regions, length)
        used = [time.process_time()]
        call_seqlets(folder / "a.h5", folder / "seqlets.tsv.gz")
        used.append(time.process_time())
        table = call_seqlets(folder / "a.h5", folder / "seqlets.tsv.gz", databases=databases)
        used.append(time.process_time())
    offset = table["name"].str.removeprefix("region").astype(int) * length
    table = table.assign(start=table["start"] - offset, end=table["end"] - offset)
    pairs = sites.reset_index().merge(table.reset_index(), on="name", suffixes=("_site", ""))
    pairs = pairs[(pairs["start"] < pairs["end_site"]) & (pairs["end"] > pairs["start_site"])]
    best = pairs.sort_values("q").drop_duplicates("index_site")
    sure = best["match_q"] <= 0.05
    return {
        "regions": regions,
        "length": length,
        "seqlets": len(table),
        "sites_found": round(len(best) / len(sites), 4),
        "seqlets_off_sites": round(1 - pairs["index"].nunique() / len(table), 4),
        "sites_named": round(float(sure.mean()), 4),
        "sites_named_by_their_matrix": round(float((sure & (best["match"] == best["motif"])).mean()), 4),
        "calling_cpu_seconds": round(used[1] - used[0], 1),
        "naming_cpu_seconds": round(used[2] - 2 * used[1] + used[0], 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
    }


def main() -> None:
    """Measure each size and print, or write, the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--regions", default="2000,10000")
    parser.add_argument("--length", type=int, default=500)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure(asked.one, asked.length)))
        return
    each_size(__file__, asked.regions.split(","), ["--length", str(asked.length)], asked.out)


if __name__ == "__main__":
    main()
