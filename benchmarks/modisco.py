"""TF-MoDISco by number of seqlets: this package's ``find_motifs`` beside modisco-lite as it is shipped.

    python benchmarks/modisco.py [--seqlets 1000,10000,100000] [--bare 1000,10000] [--threads 2] [--out FILE]

40 known motifs (JASPAR's vertebrates) planted in regions of 500 bp, four in each, amid noise; contributions
are positive at them, so that there is one sign to cluster. Each run is a process of its own that begins with
its imports and ends with its file written; memory is that of the largest process. ``find_motifs`` keeps its
compiled kernels, as it does on a cluster (they are compiled before); modisco-lite compiles them in each run,
as ``modisco motifs`` does. Patterns of both are compared: their number, and how many seqlets each has.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from seqlets import MOTIFS, SITES, write_attributions

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts")]

LENGTH = 500


def plant(path: Path, seqlets: int) -> None:
    """``attributions.h5`` in which about so many seqlets are found."""
    from cislex.motifs.databases import fetch_motif_database
    from cislex.motifs.files import read_meme

    database = path.with_name("known.meme")
    if not database.exists():
        fetch_motif_database("jaspar-vertebrates", database)
    write_attributions(path, read_meme(database)[:MOTIFS], max(1, seqlets // SITES), LENGTH)


def ours(path: Path, out: Path, cap: int, threads: int) -> None:
    """This package's stage."""
    os.environ.setdefault("NUMBA_THREADING_LAYER", "workqueue")
    from cislex.motifs.discovery import ModiscoSettings, find_motifs

    find_motifs(path, out, ModiscoSettings(max_seqlets=cap), threads=threads)


def bare(path: Path, out: Path, cap: int, threads: int) -> None:
    """modisco-lite with the same settings, on the regions in the same order."""
    os.environ["NUMBA_NUM_THREADS"] = str(threads)
    import dataclasses

    import h5py
    from cislex.files.tables import read_regions
    from cislex.motifs.discovery import ModiscoSettings, _extraction
    from cislex.motifs.modisco_scores import shuffled_rows
    from modiscolite.io import save_hdf5
    from modiscolite.tfmodisco import TFMoDISco

    with h5py.File(path) as handle:
        rows = shuffled_rows(read_regions(handle), 0)
        arrays = [
            handle[name][:].transpose(0, 2, 1)[rows].astype(np.float32)
            for name in ("sequences", "hypothetical")
        ]
    given = ModiscoSettings(max_seqlets=cap)
    settings = {**_extraction(given), **dataclasses.asdict(given)}
    for name in ("window", "seed", "target_fdr"):
        del settings[name]
    settings["max_seqlets_per_metacluster"] = settings.pop("max_seqlets")
    positive, negative = TFMoDISco(one_hot=arrays[0], hypothetical_contribs=arrays[1], **settings)
    save_hdf5(str(out), positive, negative, LENGTH)


def seqlets_of(path: Path) -> list[int]:
    """Seqlets of each pattern."""
    import h5py

    with h5py.File(path) as handle:
        groups = (handle[sign] for sign in ("pos_patterns", "neg_patterns") if sign in handle)
        return [int(group[name]["seqlets/n_seqlets"][0]) for group in groups for name in sorted(group)]


def timed(which: str, path: Path, cap: int, threads: int) -> dict[str, Any]:
    """One run in a process of its own."""
    out = path.with_name(f"{which}.h5")
    command = [sys.executable, __file__, "--one", which, str(path), str(out), str(cap), str(threads)]
    began = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    used = json.loads(done.stdout.splitlines()[-1])
    patterns = sorted(seqlets_of(out), reverse=True)
    return {"seconds": round(time.perf_counter() - began, 1), **used, "patterns": patterns}


def one(which: str, path: str, out: str, cap: str, threads: str) -> None:
    """What a process of its own does, and what it prints of itself."""
    {"ours": ours, "bare": bare}[which](Path(path), Path(out), int(cap), int(threads))
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(use.ru_utime + use.ru_stime for use in both)
    print(json.dumps({"cpu": round(cpu, 1), "mb": round(max(use.ru_maxrss for use in both) / 1e3)}))


def table_of(record: list[dict[str, Any]]) -> str:
    """A row for each number of seqlets."""
    head = [
        "seqlets",
        "find_motifs",
        "per 1,000 seqlets",
        "memory",
        "modisco-lite as shipped",
        "memory",
        "patterns",
    ]
    rows = [head, ["---"] * len(head)]
    for entry in record:
        own, other = entry["ours"], entry.get("bare")
        same = "" if other is None else " (the same)" if own["patterns"] == other["patterns"] else " (differ)"
        rows.append([
            f"{entry['seqlets']:,}", f"{own['seconds']:,.0f} s",
            f"{1000 * own['seconds'] / entry['seqlets']:.2f} s", f"{own['mb'] / 1000:.1f} GB",
            "–" if other is None else f"{other['seconds']:,.0f} s",
            "–" if other is None else f"{other['mb'] / 1000:.1f} GB", f"{len(own['patterns'])}{same}",
        ])  # fmt: skip
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """Measure each size, print the table, and write the record."""
    if sys.argv[1:2] == ["--one"]:
        one(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seqlets", default="1000,2000,5000,10000,20000,50000,100000", help="commas between")
    parser.add_argument("--bare", default="1000,5000,20000", help="sizes at which modisco-lite runs, too")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    shipped = set(map(int, filter(None, asked.bare.split(","))))
    record: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "attributions.h5"
        plant(path, 800)
        timed("ours", path, 800, asked.threads)  # compiles
        for seqlets in map(int, asked.seqlets.split(",")):
            plant(path, seqlets)
            entry: dict[str, Any] = {"seqlets": seqlets, "ours": timed("ours", path, seqlets, asked.threads)}
            if seqlets in shipped:
                entry["bare"] = timed("bare", path, seqlets, asked.threads)
            record.append(entry)
            print(json.dumps(entry), flush=True)
    print(table_of(record))
    if asked.out is not None:
        from attribution import hardware
        from cislex.provenance import versions

        about = {**hardware("cpu"), "threads": asked.threads, "versions": versions()}
        asked.out.write_text(json.dumps({**about, "sizes": record}, indent=1) + "\n")


if __name__ == "__main__":
    main()
