"""How every stage of the workflow grows with regions of 2,114 bp; the model is tiny: it does not count.

    python benchmarks/load.py [--regions 2000,20000,200000] [--cores 2] [--fitted] [--folder DIR] [--keep]
                              [--out FILE]

Each size is a run of Snakemake in a folder of its own: a random genome with planted words, peaks (a tenth as
many variants), a small network with these words for filters, DeepLIFT/SHAP with one shuffle, and every stage
up to the report, the tracks for browsers and `make check`. The genome grows with the peaks: a base is in two
windows on average. Seconds and memory of each job are those that the workflow itself keeps (``benchmarks/``);
chunks of one rule are added up, and of memory the largest job counts. Seconds of the processor (in brackets)
say more than those of the clock on a busy machine; Snakemake reads them every 30 s.

Flags: ``time`` where ten times the regions take more than 15 times as long, ``memory`` where the memory of a
job grew by more than 300 MB. Files are counted as inodes. Folders are deleted after measuring, without
``--keep``.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts")]

LENGTH, CHROMOSOMES, BASES_PER_REGION, REGIONS_PER_CHUNK = 2114, 10, 1000, 5000
#: Seqlets per sign: TF-MoDISco's time follows them, and not the regions (docs/reliability.md has both).
SEQLETS = 2000
#: Width in bp that is scanned for hits of words; with ``--fitted`` what Fi-NeMo and single regions' seqlets
#: search: their time would be all that is measured.
SCANNED, FITTED = 1000, 200
WORDS = ("TGACTCATGC", "CCACGTGACC", "GGAAGTGAAA", "ATTGCGCAAT")
LETTERS = np.frombuffer(b"ACGT", dtype=np.uint8)
#: Growth that is flagged: of time, per step of ten times the regions; of memory, in MB.
TIME_FACTOR, MEMORY_MB = 1.5, 300.0
#: Steps shorter than this say nothing about growth.
LEAST_SECONDS = 5.0
NETWORK = f"""
import torch
from torch import nn

WORDS = {WORDS!r}


def build():
    width = max(map(len, WORDS))
    convolution = nn.Conv1d(4, 2 * len(WORDS), width)
    with torch.no_grad():
        convolution.weight.fill_(-0.3)
        for number, word in enumerate(WORDS):
            for turn, row in ((1, number), (-1, number + len(WORDS))):
                for place, letter in enumerate(word[::turn]):
                    code = "ACGT".index(letter)
                    convolution.weight[row, code if turn == 1 else 3 - code, place] = 1.0
        convolution.bias.fill_(-(width - 3.0))
    last = nn.Linear(2 * len(WORDS), 1, bias=False)
    with torch.no_grad():
        last.weight.fill_(50.0)
        last.weight[0, len(WORDS) - 1 :: len(WORDS)] = -50.0
    return nn.Sequential(convolution, nn.LeakyReLU(0.05), nn.AdaptiveAvgPool1d(1), nn.Flatten(), last)
"""


def write_inputs(folder: Path, regions: int) -> None:
    """A genome with words at its peaks, the peaks, a VCF of substitutions, and the network's weights."""
    import torch

    rng = np.random.default_rng(0)
    size = max(1, regions * BASES_PER_REGION // CHROMOSOMES // 60_000) * 60_000
    chroms, variants = [], []
    peaks = np.sort(rng.integers(0, CHROMOSOMES, regions))
    with open(folder / "genome.fa", "wb") as genome, open(folder / "peaks.narrowPeak", "w") as bed:
        for number in range(CHROMOSOMES):
            bases = LETTERS[rng.integers(0, 4, size, dtype=np.uint8)]
            count = int((peaks == number).sum())
            summits = rng.integers(LENGTH, size - LENGTH, count)
            for word in WORDS:
                chosen = summits[rng.random(count) < 0.5] + rng.integers(-80, 80)
                places = chosen[:, None] + np.arange(len(word))
                bases[places] = np.frombuffer(word.encode(), dtype=np.uint8)
            lines = np.full((size // 60, 61), ord("\n"), dtype=np.uint8)
            lines[:, :60] = bases.reshape(-1, 60)
            genome.write(f">chr{number + 1}\n".encode() + lines.tobytes())
            for row, summit in enumerate(summits):
                start, score = summit - 150, rng.random() * 100
                name = f"peak_{number}_{row}\t0\t."
                bed.write(f"chr{number + 1}\t{start}\t{start + 300}\t{name}\t{score:.4f}\t-1\t-1\t150\n")
            chroms.append(f"##contig=<ID=chr{number + 1},length={size}>\n")
            for place in np.sort(rng.choice(summits, count // 10, replace=False)):
                reference = chr(bases[place])
                other = "ACGT"[("ACGT".index(reference) + 1 + int(rng.integers(3))) % 4]
                variants.append(f"chr{number + 1}\t{place + 1}\t.\t{reference}\t{other}\t.\t.\t.\n")
    head = ["##fileformat=VCFv4.2\n", *chroms, "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"]
    (folder / "variants.vcf").write_text("".join([*head, *variants]))
    (folder / "network.py").write_text(NETWORK)
    namespace: dict[str, Any] = {}
    exec(NETWORK, namespace)
    torch.save(namespace["build"]().state_dict(), folder / "weights.pt")


def config_of(regions: int, *, fitted: bool) -> dict[str, Any]:
    """Every stage that grows with regions or variants."""
    window = {"window": FITTED}
    hits = {"hits": window, "seqlets": window} if fitted else {"hits": {"method": "scan", "window": SCANNED}}
    chunks = max(2, regions // REGIONS_PER_CHUNK)
    analysis = {
        "regions": "peaks", "model": "net", "targets": {"t": {"kind": "output", "index": 0}},
        "method": {"references": {"n": 1}}, "device": "cpu", "labels": {"t": {"column": "signal_value"}},
        "motifs": {"max_seqlets": SEQLETS}, **hits,
    }  # fmt: skip
    return {
        "results": "results",
        "genome": {"fasta": "genome.fa"},
        "regions": {"peaks": {"peaks": "peaks.narrowPeak", "deduplicate": "none", "chunks": chunks}},
        "models": {
            "net": {
                "loader": "factory", "module": "network.py:build",
                "input_length": LENGTH, "folds": {"f": "weights.pt"},
            }
        },
        "analyses": {"a": analysis},
        "variants": {"v": {"vcf": "variants.vcf", "analysis": "a", "chunks": max(1, chunks // 10)}},
    }  # fmt: skip


def snakemake(folder: Path, cores: int, *targets: str) -> dict[str, float]:
    """Run the workflow in a folder: seconds, and MB of the largest process."""
    command = [str(Path(sys.executable).parent / "snakemake"), "--snakefile", str(ROOT / "Snakefile")]
    command += [
        "--directory",
        str(folder),
        "--configfile",
        str(folder / "config.json"),
        "--cores",
        str(cores),
    ]
    log = folder / "snakemake.log"
    began = time.perf_counter()
    with open(log, "a", encoding="utf-8") as out:
        process = subprocess.Popen([*command, "--", *targets], stdout=out, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the run failed: {log}\n{log.read_text(encoding='utf-8')[-3000:]}")
    return {"seconds": time.perf_counter() - began, "mb": used.ru_maxrss / 1024}


def stages_of(results: Path) -> dict[str, dict[str, float]]:
    """Jobs, seconds, seconds of the processor and MB of the largest job, of every rule."""
    found: dict[str, dict[str, float]] = {}
    for path in sorted((results / "benchmarks").rglob("*.tsv")):
        rule = path.relative_to(results / "benchmarks").parts[0].removesuffix(".tsv")
        with path.open(encoding="utf-8", newline="") as handle:
            row = next(csv.DictReader(handle, delimiter="\t"))
        entry = found.setdefault(rule, {"jobs": 0, "seconds": 0.0, "cpu": 0.0, "mb": 0.0})
        entry["jobs"] += 1
        entry["seconds"] += float(row["s"])
        entry["cpu"] += number_of(row["cpu_time"])
        entry["mb"] = max(entry["mb"], number_of(row["max_rss"]))
    return found


def number_of(cell: str) -> float:
    """A number of a benchmark file; jobs of less than a second have none."""
    return 0.0 if cell in ("NA", "-") else float(cell)


def disk_of(results: Path) -> dict[str, Any]:
    """Inodes and bytes of a folder (a file with two names counts once), and its largest files."""
    entries = [path.lstat() for path in results.rglob("*")]
    once = {entry.st_ino: entry for entry in entries}
    files = sorted((p for p in results.rglob("*") if p.is_file()), key=lambda p: -p.stat().st_size)
    size = sum(entry.st_blocks * 512 for entry in once.values())
    largest = {str(p.relative_to(results)): p.stat().st_size for p in files[:12]}
    pages = {str(p.relative_to(results)): p.stat().st_size for p in files if p.suffix == ".html"}
    return {"inodes": len(once), "bytes": size, "largest": largest, "pages": pages}


class Peak:
    """Largest use of a folder while a run goes on."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bytes, self._over = folder, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._over.wait(10):
            done = subprocess.run(["du", "-s", "-B1", str(self.folder)], capture_output=True, text=True)
            self.bytes = max(self.bytes, int((done.stdout or "0").split()[0]))

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def measure(folder: Path, regions: int, cores: int, *, fitted: bool) -> dict[str, Any]:
    """One run of a size, checked."""
    write_inputs(folder, regions)
    (folder / "config.json").write_text(json.dumps(config_of(regions, fitted=fitted), indent=1))
    with Peak(folder) as peak:
        run = snakemake(folder, cores, "all")
    check = snakemake(folder, cores, "check")
    results = folder / "results"
    with open(results / "verification.tsv", encoding="utf-8", newline="") as handle:
        statuses = [row["status"] for row in csv.DictReader(handle, delimiter="\t")]
    return {
        "run": run, "check": check, "stages": stages_of(results), "disk": disk_of(results),
        "peak_bytes": peak.bytes, "statuses": {v: statuses.count(v) for v in sorted(set(statuses))},
    }  # fmt: skip


def flags_of(small: dict[str, float], large: dict[str, float], factor: float) -> list[str]:
    """What of a stage grew more than the regions did, or holds them in memory."""
    flags = []
    if large["cpu"] > LEAST_SECONDS and large["cpu"] > TIME_FACTOR * factor * max(small["cpu"], 0.1):
        flags.append("time")
    if large["mb"] - small["mb"] > MEMORY_MB:
        flags.append("memory")
    return flags


def cell_of(stage: dict[str, float]) -> str:
    """Seconds of the clock and of the processor, and MB."""
    return f"{stage['seconds']:,.0f} s ({stage['cpu']:,.0f} s), {stage['mb']:,.0f} MB"


def table_of(record: dict[str, dict[str, Any]]) -> str:
    """A row for each stage: time and memory at every size, growth of the processor's time, flags."""
    sizes = sorted(record, key=int)
    head = ["stage", *(f"{int(n):,}" for n in sizes), "growth", "flags"]
    rows = [head, ["---"] * len(head)]
    for stage in record[sizes[-1]]["stages"]:
        found = [record[n]["stages"].get(stage) for n in sizes]
        cells = ["–" if f is None else cell_of(f) for f in found]
        growth, flags = "–", ""
        if len(found) > 1 and found[-1] and found[-2]:
            growth = f"{found[-1]['cpu'] / max(found[-2]['cpu'], 0.1):.1f}"
            flags = ", ".join(flags_of(found[-2], found[-1], int(sizes[-1]) / int(sizes[-2])))
        rows.append([f"`{stage}`", *cells, growth, flags])
    whole = [f"{record[n]['run']['seconds']:,.0f} s" for n in sizes]
    disk = [
        f"{record[n]['disk']['bytes'] / 1e9:.2f} GB, {record[n]['disk']['inodes']:,} files" for n in sizes
    ]
    rows += [["the run", *whole, "", ""], ["results", *disk, "", ""]]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """Measure, print, and write a record where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--regions", default="2000,20000,200000", help="commas between")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where runs are made (default: a temporary folder)")
    parser.add_argument("--fitted", action="store_true", help="Fi-NeMo and seqlets of 200 bp, not a scan")
    parser.add_argument("--keep", action="store_true", help="keep the folders of the runs")
    parser.add_argument("--out", type=Path, default=None, help="record; sizes in it are kept")
    options = parser.parse_args()
    from attribution import hardware
    from cislex.provenance import versions

    record: dict[str, Any] = (
        json.loads(options.out.read_text()) if options.out and options.out.exists() else {}
    )
    sizes = dict(record.get("sizes", {}))
    base = Path(tempfile.mkdtemp(dir=options.folder))
    for regions in map(int, options.regions.split(",")):
        folder = base / str(regions)
        folder.mkdir()
        sizes[str(regions)] = measure(folder, regions, options.cores, fitted=options.fitted)
        if not options.keep:
            shutil.rmtree(folder)
        print(table_of(sizes), flush=True)
        if options.out is not None:
            about = {**hardware("cpu"), "length": LENGTH, "versions": versions()}
            options.out.write_text(json.dumps({**about, "sizes": sizes}, indent=1) + "\n")
    if not options.keep:
        base.rmdir()


if __name__ == "__main__":
    main()
