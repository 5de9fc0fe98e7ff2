"""One-hot encoding from a genome: this package beside tangermeme's memory-mapped FASTA and SeqPro.

    python benchmarks/encoding.py [--genome FASTA] [--regions 20000] [--length 2114] [--rounds 5]
                                  [--seqpro-python PYTHON] [--out FILE]

In turns, each contender in a process of its own with one thread; compiled kernels and the file's pages are
warm. MB of sequence per second, and ratios taken turn by turn:

- regions: random windows of a genome, one-hot uint8 (N, 4, L) in memory, from the FASTA file;
- chromosome: the longest sequence of the file, one-hot in memory (tangermeme and this package in windows of
  10,000 bp that touch; SeqPro, which reads no FASTA, from bytes that are read and cleaned of line ends);
- file: ``encode_sequences``, which reads, checks, compresses and writes ``sequences.h5``.

Without ``--genome`` one of 100 Mb is made. SeqPro is not in our environment: its interpreter is given.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts")]

TILE = 10_000


def write_genome(path: Path, megabases: int = 100) -> None:
    """Random sequences of 50 and so many Mb, in lines of 60."""
    letters, rng = np.frombuffer(b"ACGT", np.uint8), np.random.default_rng(0)
    with path.open("wb") as handle:
        for number, size in enumerate((50_000_000, (megabases - 50) * 1_000_000), 1):
            lines = np.full((size // 60, 61), ord("\n"), np.uint8)
            lines[:, :60] = letters[rng.integers(0, 4, (size // 60, 60), np.uint8)]
            handle.write(f">chr{number}\n".encode() + lines.tobytes())


def tasks_of(fasta: Path, regions: int, length: int) -> dict[str, tuple[list[str], list[int], int]]:
    """Chromosomes, starts and length of the windows of both tasks."""
    from cislex.regions.chromosome_table import read_sizes
    from cislex.regions.genome import index_genome

    with tempfile.TemporaryDirectory() as name:
        index = Path(f"{fasta}.fai")  # where tangermeme looks for one, too
        index_genome(fasta, Path(name) / "chromosomes.tsv", index, Path(name) / "i.gzi")
        sizes = read_sizes(Path(name) / "chromosomes.tsv")
    rng = np.random.default_rng(1)
    names = list(sizes)
    chosen = rng.choice(len(names), regions, p=np.array(list(sizes.values())) / sum(sizes.values()))
    chroms = [names[i] for i in chosen]
    starts = [int(rng.integers(0, sizes[chrom] - length)) for chrom in chroms]
    longest = max(sizes, key=lambda name: sizes[name])
    tiles = list(range(0, sizes[longest] - TILE, TILE))
    return {"regions": (chroms, starts, length), "chromosome": ([longest] * len(tiles), tiles, TILE)}


def ours(fasta: Path, chroms: list[str], starts: list[int], length: int) -> np.ndarray:
    """This package: one-hot uint8 (N, 4, L)."""
    import pandas as pd
    from cislex.regions.genome import Genome
    from cislex.sequences.store import to_one_hot

    found = np.empty((len(starts), 4, length), np.uint8)
    with Genome(fasta, fai=f"{fasta}.fai") as genome:
        for rows, span, offsets in genome.windows(pd.Series(chroms), np.array(starts), length):
            every = np.lib.stride_tricks.sliding_window_view(span, length)
            for low in range(0, len(rows), 64):
                found[rows[low : low + 64]] = to_one_hot(every[offsets[low : low + 64]])
    return found


def tangermeme(fasta: Path, chroms: list[str], starts: list[int], length: int) -> np.ndarray:
    """tangermeme's ``extract_loci``: one-hot int8 (N, 4, L)."""
    import pandas as pd
    from tangermeme.io import extract_loci

    loci = pd.DataFrame({"chrom": chroms, "start": starts})
    loci["end"] = loci["start"] + length
    return extract_loci(loci, str(fasta), in_window=length, n_jobs=1).numpy()


def seqpro(fasta: Path, chroms: list[str], _starts: list[int], _length: int) -> np.ndarray:
    """SeqPro's ``DNA.ohe`` of a whole sequence: uint8 (L, 4)."""
    import seqpro as sp

    text = fasta.read_bytes()
    begin = text.index(f">{chroms[0]}\n".encode())
    end = text.find(b">", begin + 1)
    letters = text[text.index(b"\n", begin) + 1 : end if end > 0 else None].replace(b"\n", b"")
    return sp.DNA.ohe(np.frombuffer(letters, "S1"))


CONTENDERS: dict[str, Callable[..., Any]] = {"cislex": ours, "tangermeme": tangermeme, "seqpro": seqpro}


def serve(name: str, fasta: str) -> None:
    """A contender that reads tasks from standard input and answers with seconds and a checksum."""
    for line in sys.stdin:
        chroms, starts, length = json.loads(line)
        began = time.perf_counter()
        found = CONTENDERS[name](Path(fasta), chroms, starts, length)
        seconds = time.perf_counter() - began
        print(json.dumps([seconds, int(found.sum(dtype=np.int64))]), flush=True)
        del found


class Contender:
    """A process with one of them."""

    def __init__(self, name: str, fasta: Path, python: str) -> None:
        command = [python, __file__, "--serve", name, str(fasta)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, task: Any) -> tuple[float, int]:
        """Seconds, and the number of ones."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(task), file=self.process.stdin, flush=True)
        seconds, ones = json.loads(self.process.stdout.readline())
        return seconds, ones


def file_rate(fasta: Path, folder: Path, chroms: list[str], starts: list[int], length: int) -> list[float]:
    """MB/s of ``encode_sequences``, three times."""
    import pandas as pd
    from cislex.regions.extraction import write_regions_bed
    from cislex.regions.genome import index_genome
    from cislex.sequences.store import encode_sequences

    table = pd.DataFrame({"chrom": chroms, "start": starts})
    table["end"] = table["start"] + length
    table = table.assign(name="r", score=0, strand="+", peak_start=table["start"], peak_end=table["end"])
    write_regions_bed(table.assign(source_line=1), folder / "regions.bed")
    index = {"chromosomes": folder / "chromosomes.tsv", "fai": folder / "i.fai", "gzi": folder / "i.gzi"}
    index_genome(fasta, *index.values())
    rates = []
    for _ in range(3):
        began = time.perf_counter()
        encode_sequences(folder / "regions.bed", fasta, folder / "sequences.h5", threads=1, **index)
        rates.append(len(starts) * length / 1e6 / (time.perf_counter() - began))
    return rates


def main() -> None:
    """Measure, print, and write a record where asked."""
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--genome", type=Path)
    parser.add_argument("--regions", type=int, default=20_000)
    parser.add_argument("--length", type=int, default=2114)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seqpro-python", help="interpreter that has SeqPro")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fasta = asked.genome or folder / "genome.fa"
        if asked.genome is None:
            write_genome(fasta)
        tasks = tasks_of(fasta, asked.regions, asked.length)
        pythons = {"cislex": sys.executable, "tangermeme": sys.executable, "seqpro": asked.seqpro_python}
        others = {kind: Contender(kind, fasta, python) for kind, python in pythons.items() if python}
        record: dict[str, Any] = {}
        for task, given in tasks.items():
            kinds = [kind for kind in others if task == "chromosome" or kind != "seqpro"]
            megabytes = len(given[1]) * given[2] / 1e6
            turns: list[dict[str, float]] = []
            for turn in range(asked.rounds + 1):
                answers = {kind: others[kind].ask(given) for kind in kinds}
                ones = {kind: found for kind, (_, found) in answers.items() if kind != "seqpro"}
                if len(set(ones.values())) != 1:
                    raise SystemExit(f"{task}: contenders disagree: {ones}")
                if turn:  # the first one warms
                    turns.append({kind: seconds for kind, (seconds, _) in answers.items()})
            record[task] = {"MB": megabytes}
            for kind in kinds:
                ratios = [turn[kind] / turn["cislex"] for turn in turns]
                rate = megabytes / statistics.median(turn[kind] for turn in turns)
                spread = [round(of(ratios), 2) for of in (statistics.median, min, max)]
                record[task][kind] = {"MB/s": round(rate, 1), "of cislex's time": spread}
            print(task, json.dumps(record[task]), flush=True)
        record["file"] = {"MB/s": round(statistics.median(file_rate(fasta, folder, *tasks["regions"])), 1)}
        print("file", record["file"])
    if asked.out is not None:
        from attribution import hardware

        asked.out.write_text(json.dumps({**hardware("cpu"), "tasks": record}, indent=1) + "\n")


if __name__ == "__main__":
    main()
