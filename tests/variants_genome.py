"""A small genome and variants of it, for the tests of variant scoring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from cislex.regions.genome import Genome
from cislex.variants.context import Context

HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
#: A repeat in chrR, so that indels can be written in several ways.
REPEAT = "GATTACAGGC" * 3 + "TCACACACACG" + "CCTGATTTTTGCA" * 4
LENGTHS = {"chr1": 700, "chr2": 300}


def sequences() -> dict[str, str]:
    rng = np.random.default_rng(5)
    random = {name: "".join(rng.choice(list("ACGT"), size)) for name, size in LENGTHS.items()}
    return {**random, "chrR": REPEAT}


def write_genome(path: Path) -> Path:
    path.write_text("".join(f">{name}\n{text}\n" for name, text in sequences().items()))
    return path


def open_context(folder: Path, *, block: int = 100) -> Context:
    return Context(Genome(write_genome(folder / "genome.fa")), block=block)


def write_vcf(path: Path, rows: list[tuple[str, int, str, str]]) -> Path:
    """``pos`` is 1-based."""
    lines = [
        f"{chrom}\t{pos}\tv{i}\t{ref}\t{alt}\t.\t.\t.\n" for i, (chrom, pos, ref, alt) in enumerate(rows)
    ]
    path.write_text(HEADER + "".join(lines))
    return path


def random_variants(n: int, *, seed: int = 0, indels: bool = True, margin: int = 60) -> pd.DataFrame:
    """Variants of chr1, at least ``margin`` bp from its ends, as ``read_variants`` gives them."""
    rng, genome = np.random.default_rng(seed), sequences()["chr1"]
    rows = []
    for i in range(n):
        start = int(rng.integers(margin, len(genome) - margin))
        kind = int(rng.integers(0, 4)) if indels else 0
        ref = genome[start : start + (4 if kind == 1 else 2 if kind == 3 else 1)]
        other = [letter for letter in "ACGT" if letter != ref[0]]
        new = str(rng.choice(other))
        alt = {0: new, 1: ref[0], 2: ref + "".join(rng.choice(list("ACGT"), 3)), 3: new + new}[kind]
        rows.append((i + 3, "chr1", start, ref, alt, f"v{i}"))
    return pd.DataFrame(rows, columns=["source_line", "chrom", "start", "ref", "alt", "id"])
