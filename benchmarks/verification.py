"""Time and memory of a check of results, on attributions of random numbers.

    python benchmarks/verification.py --regions 50000 --length 2114 --threads 2

writes attributions of this size (2.1 GB) into a temporary folder and checks them.
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

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from cislex.files.hdf5 import new_hdf5
from cislex.files.hdf5_blocks import RowWriter
from cislex.files.tables import create_array, rows_per_hdf5_chunk, write_regions
from cislex.provenance import digest_file
from cislex.sequences.store import create_sequences, to_one_hot
from cislex.verification.verify import verify_results

BLOCK = 500
SETTINGS = {
    "a": {
        "regions": "mine",
        "folds": ["f"],
        "lexicon": False,
        "database_hits": False,
        "gate": {"max_relative_delta": 1e-3, "on_fail": "error"},
    }
}


def write_results(root: Path, regions: int, length: int) -> int:
    """Write attributions under both of their names, sequences and records; return their bytes."""
    target, sequences = root / "a/t", root / "regions/mine/sequences.h5"
    for folder in (target, sequences.parent, root / "runs"):
        folder.mkdir(parents=True)
    complete, rng = target / "attributions.all.h5", np.random.default_rng(0)
    numbers = np.arange(regions)
    names = [f"r{row}" for row in numbers]
    table = pd.DataFrame({"chrom": "", "start": 0, "end": length, "name": names, "strand": "."})
    rows, sums = rows_per_hdf5_chunk(length), []
    with new_hdf5(complete) as handle, new_hdf5(sequences) as store:
        wide = [
            RowWriter(create_array(handle, name, (regions, *tail, length), "f4", rows=rows))
            for name, tail in (("hypothetical", (4,)), ("baseline", ()))
        ]
        bases = [RowWriter(create_sequences(place, regions, length)) for place in (handle, store)]
        for low in range(0, regions, BLOCK):
            count = min(BLOCK, regions - low)
            values = rng.standard_normal((count, 4, length), dtype=np.float32)
            found = to_one_hot(rng.integers(0, 4, (count, length), np.uint8))
            wide[0].append(values)
            wide[1].append(values.mean(axis=1))
            for writer in bases:
                writer.append(found)
            sums.append(np.einsum("ncl,ncl->n", values.astype(np.float64), found))
        for writer in (*wide, *bases):
            writer.finish()
        create_array(handle, "prediction", (regions,), "f4")[...] = np.concatenate(sums)
        for name, shape in (("reference_prediction", ()), ("max_relative_delta", ()), ("delta", (1, 20))):
            create_array(handle, name, (regions, *shape), "f4")[...] = 0
        create_array(handle, "rows", (regions,), "i8")[...] = numbers
        for place in (handle, store):
            write_regions(place, table)
            place.attrs.update({"source_digest": "x", "has_coordinates": False})
        handle.attrs.update(
            {
                "folds": '["f"]', "target": "t", "max_relative_delta_limit": 1e-3, "on_fail": "error",
                "method": "{}", "n_over_limit": 0, "n_regions": regions, "model_digests": "{}",
                "chunks_digest": "x",
            }
        )  # fmt: skip
    (target / "attributions.h5").hardlink_to(complete)
    files = [complete, target / "attributions.h5", sequences]
    outputs = {f"{{results}}/{path.relative_to(root).as_posix()}": digest_file(path) for path in files}
    (root / "runs/records.jsonl").write_text(json.dumps({"inputs": {}, "outputs": outputs}) + "\n")
    return complete.stat().st_size + sequences.stat().st_size


def _used() -> float:
    """Seconds of processor time of this process and those that it started."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in both)


def main() -> None:
    """Print size, seconds, processor time and memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--regions", type=int, default=50_000)
    parser.add_argument("--length", type=int, default=2114)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "results"
        size = write_results(root, given.regions, given.length)
        began, used = time.perf_counter(), _used()
        found = verify_results(root, None, settings=SETTINGS, threads=given.threads)
        seconds, busy = time.perf_counter() - began, _used() - used
    faults = [report.what for report in found if report.faults]
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    memory = sum(use.ru_maxrss for use in both) / 1e3
    print(f"{size / 1e9:.2f} GB: {seconds:.1f} s, {busy:.1f} s of processor time, {memory:.0f} MB at most")
    whole, work = 1e10 / size * seconds, 1e10 / size * busy
    print(f"10 GB: {whole:.0f} s, {work:.0f} s of processor time; faults: {faults}")


if __name__ == "__main__":
    main()
