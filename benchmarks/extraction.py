"""Time and memory of extract_regions + encode_sequences on random peaks of a random genome.

Goal: 100,000 regions × 2,114 bp in under 60 s and 1 GB on two cores. Every stage runs in a process of
its own, as it does in the workflow, so its peak memory is its own. Prints a table.

    python benchmarks/extraction.py [--regions 100000] [--length 2114] [--megabases 200] [--bgzip]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
from cislex.regions.extraction import RegionOptions, extract_regions
from cislex.regions.genome import index_genome
from cislex.sequences.store import encode_sequences

CHROMOSOMES = 10


def write_inputs(folder: Path, *, megabases: int, regions: int, bgzip: bool) -> Path:
    """Write a random genome (60 letters a line) and narrowPeak rows in random order; return the FASTA."""
    rng = np.random.default_rng(0)
    size = megabases * 1_000_000 // CHROMOSOMES // 60 * 60
    fasta = folder / ("genome.fa.gz" if bgzip else "genome.fa")
    if bgzip:
        from Bio import bgzf

        handle = bgzf.BgzfWriter(str(fasta), "wb")
    else:
        handle = open(fasta, "wb")  # noqa: SIM115 (closed below, whichever it is)
    letters = np.frombuffer(b"ACGT", dtype=np.uint8)
    for number in range(CHROMOSOMES):
        lines = np.full((size // 60, 61), ord("\n"), dtype=np.uint8)
        lines[:, :60] = letters[rng.integers(0, 4, (size // 60, 60), dtype=np.uint8)]
        handle.write(f">chr{number + 1}\n".encode() + lines.tobytes())
    handle.close()
    chroms = rng.integers(1, CHROMOSOMES + 1, regions)
    starts = rng.integers(5_000, size - 5_000, regions)
    scores = rng.random(regions) * 100
    with open(folder / "peaks.narrowPeak", "w", encoding="utf-8") as peaks:
        for row, (chrom, start, score) in enumerate(zip(chroms, starts, scores, strict=True)):
            strand = "+-."[row % 3]
            peaks.write(
                f"chr{chrom}\t{start}\t{start + 300}\tpeak_{row}\t0\t{strand}\t{score:.4f}\t-1\t-1\t150\n"
            )
    return fasta


def measure(stage: Callable[[], object]) -> tuple[float, float, float]:
    """Seconds of the clock and of the processor, and peak memory (MB), of a stage in a fresh process."""
    receiver, sender = multiprocessing.Pipe(duplex=False)

    def child() -> None:
        started = time.perf_counter()
        before = time.process_time()
        stage()
        seconds, processor = time.perf_counter() - started, time.process_time() - before
        sender.send((seconds, processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(process.exitcode)
    seconds, processor, megabytes = receiver.recv()
    return seconds, processor, megabytes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--regions", type=int, default=100_000)
    parser.add_argument("--length", type=int, default=2_114)
    parser.add_argument("--megabases", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bgzip", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fasta = folder / ("genome.fa.gz" if options.bgzip else "genome.fa")
        # In a process too: the parent's memory would count as every child's.
        measure(
            lambda: write_inputs(
                folder, megabases=options.megabases, regions=options.regions, bgzip=options.bgzip
            )
        )
        index = {"fai": folder / "index.fai", "gzi": folder / "index.gzi"}
        table = folder / "chromosomes.tsv"
        bed = folder / "regions.bed"
        stages: dict[str, Callable[[], object]] = {
            "index_genome": lambda: index_genome(fasta, table, **index),
            "extract_regions": lambda: extract_regions(
                folder / "peaks.narrowPeak",
                fasta,
                bed,
                folder / "dropped.tsv",
                options=RegionOptions(length=options.length),
                **index,
            ),
            "encode_sequences": lambda: encode_sequences(
                bed, fasta, folder / "sequences.h5", chromosomes=table, threads=options.threads, **index
            ),
        }
        print("stage\tseconds\tprocessor\tpeak_MB")
        for stage, call in stages.items():
            seconds, processor, megabytes = measure(call)
            print(f"{stage}\t{seconds:.1f}\t{processor:.1f}\t{megabytes:.0f}", flush=True)
            if stage == "encode_sequences":
                bases = options.regions * options.length / 1e6
                size = (folder / "sequences.h5").stat().st_size / 1e6
                print(
                    f"# {bases / seconds:.0f} MB of sequence/s, {bases / processor:.0f} a second of the "
                    f"processor; sequences.h5 {size:.0f} MB"
                )


if __name__ == "__main__":
    main()
