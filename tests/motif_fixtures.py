"""A small file of attributions with planted motifs, and what the motif stages make of it, made once."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from cislex.files.tables import write_regions, write_table
from cislex.motifs.annotation import annotate_motifs
from cislex.motifs.databases import fetch_motif_database
from cislex.motifs.discovery import ModiscoSettings, find_motifs
from cislex.motifs.files import MemeMotif, read_meme, write_meme
from cislex.motifs.hits import HitSettings, call_hits
from cislex.runtime.jobs import local_caches

# Kernels compiled by the tests' process and by the scripts that they start serve each other: a minute saved.
os.environ.setdefault("NUMBA_CACHE_DIR", local_caches(1)["NUMBA_CACHE_DIR"])

LENGTH = 200
CHROMOSOMES = {"chr2": 60_000, "chr10": 60_000}
#: Names in JASPAR's fungi, sign of the contribution, and number of regions that hold a site.
PLANTED = (("REB1", 1.0, 160), ("RAP1", 1.0, 150), ("GCN4", -1.0, 150))


@dataclasses.dataclass(frozen=True)
class Planted:
    """Files of the small data set."""

    attributions: Path
    fasta: Path
    truth: Path
    motifs: Path
    database: Path


@dataclasses.dataclass(frozen=True)
class Found:
    """Files that the motif stages made of it."""

    modisco: Path
    table: Path
    meme: Path
    logos: Path
    hits: Path


def write_attributions(
    path: Path, sequences: np.ndarray, hypothetical: np.ndarray, regions: pd.DataFrame
) -> None:
    """Write what the motif stages read of ``attributions.h5``."""
    with h5py.File(path, "w") as handle:
        handle["sequences"] = sequences.astype(np.uint8)
        handle["hypothetical"] = hypothetical.astype(np.float32)
        handle["baseline"] = np.zeros((len(sequences), sequences.shape[2]), np.float32)
        write_regions(handle, regions)


def make_regions(count: int) -> pd.DataFrame:
    """Regions 500 bp apart, on both chromosomes and strands, in mixed order."""
    number = np.arange(count)
    chrom = np.where(number % 2 == 0, "chr10", "chr2")
    start = 300 + 500 * (number // 2)
    strand = np.where(number % 3 == 0, "-", "+")
    name = [f"peak{n}" for n in number]
    return pd.DataFrame(
        {"chrom": chrom, "start": start, "end": start + LENGTH, "name": name, "strand": strand}
    )


def reverse(array: np.ndarray) -> np.ndarray:
    """Reverse complement of the last two axes (4, L)."""
    return array[..., ::-1, ::-1]


def plant(count: int, known: list[MemeMotif], seed: int = 0) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Sequences (N, 4, L), hypothetical contributions (N, 4, L) and sites in coordinates of the region."""
    rng = np.random.default_rng(seed)
    sequences = np.eye(4)[rng.integers(0, 4, (count, LENGTH))].transpose(0, 2, 1)
    hypothetical = rng.normal(0, 0.01, (count, 4, LENGTH))
    sites = []
    for place, (motif, (_, sign, regions)) in enumerate(zip(known, PLANTED, strict=True)):
        for row in range(min(regions, count)):
            width = motif.ppm.shape[1]
            start = 20 + 55 * place + int(rng.integers(0, 20))
            bases = [rng.choice(4, p=column) for column in motif.ppm.T]
            site, score = np.eye(4)[bases].T, sign * (motif.ppm - 0.25)
            strand = "+-"[int(rng.integers(2))]
            if strand == "-":
                site, score = reverse(site), reverse(score)
            sequences[row, :, start : start + width] = site
            hypothetical[row, :, start : start + width] += score * rng.uniform(0.7, 1.3)
            sites.append((row, start, start + width, strand, motif.identifier, motif.name))
    frame = pd.DataFrame(sites, columns=["row", "start", "end", "strand", "motif", "name"])
    return sequences, hypothetical, frame


def place_on_genome(sites: pd.DataFrame, regions: pd.DataFrame) -> pd.DataFrame:
    """The planted sites as the demo's truth table."""
    where = regions.iloc[sites["row"]].reset_index(drop=True)
    is_minus = where["strand"] == "-"
    turned = sites["strand"].map({"+": "-", "-": "+"})
    return pd.DataFrame(
        {
            "chrom": where["chrom"],
            "start": np.where(is_minus, where["end"] - sites["end"], where["start"] + sites["start"]),
            "end": np.where(is_minus, where["end"] - sites["start"], where["start"] + sites["end"]),
            "strand": np.where(is_minus, turned, sites["strand"]),
            "motif": sites["motif"],
            "name": sites["name"],
            "assay": "demo",
            "functional": True,
            "peak": where["name"],
        }
    )


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """160 regions of 200 bp with two activating motifs and a repressing one."""
    folder = tmp_path_factory.mktemp("planted")
    database = folder / "jaspar-fungi.meme"
    fetch_motif_database("jaspar-fungi", database)
    by_name = {motif.name: motif for motif in read_meme(database)}
    known = [by_name[name] for name, _, _ in PLANTED]
    sequences, hypothetical, sites = plant(160, known)
    regions = make_regions(160)
    files = Planted(
        folder / "attributions.h5", folder / "g.fa", folder / "truth.tsv", folder / "motifs.meme", database
    )
    write_attributions(files.attributions, sequences, hypothetical, regions)
    write_table(place_on_genome(sites, regions), files.truth)
    write_meme(known, files.motifs)
    lines = [f">{name} made up\n{'ACGT' * (size // 4)}\n" for name, size in CHROMOSOMES.items()]
    files.fasta.write_text("".join(lines))
    return files


@pytest.fixture(scope="session")
def found(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """The motif stages' files, by their defaults."""
    folder = tmp_path_factory.mktemp("found")
    files = Found(*(folder / n for n in ("modisco.h5", "motifs.tsv", "motifs.meme", "logos", "hits.bed.gz")))
    find_motifs(planted.attributions, files.modisco, ModiscoSettings(), threads=1)
    annotate_motifs(files.modisco, planted.database, files.table, files.meme, files.logos)
    call_hits(planted.attributions, files.modisco, files.hits, HitSettings(), analysis="demo")
    return files


RUNNER = """
import json, runpy, sys
from types import SimpleNamespace
given = json.loads(sys.argv[1])
class Named(dict):
    __getattr__ = dict.__getitem__
snakemake = SimpleNamespace(**{k: Named(v) if isinstance(v, dict) else v for k, v in given.items()})
runpy.run_path(given["script"], init_globals={"snakemake": snakemake})
"""


def run_script(
    name: str,
    log: Path,
    *,
    input: dict[str, Path | list[Path]] | None = None,
    output: dict[str, Path] | None = None,
    params: dict[str, object] | None = None,
    wildcards: dict[str, str] | None = None,
    config: dict[str, object] | None = None,
) -> str:
    """Run a rule's script as Snakemake does, in a process of its own; return its log."""
    scripts = Path(__file__).resolve().parents[1] / "scripts"
    given = {
        "script": str(scripts / name),
        "scriptdir": str(scripts),
        "input": {
            key: [str(p) for p in path] if isinstance(path, list) else str(path)
            for key, path in (input or {}).items()
        },
        "output": {key: str(path) for key, path in (output or {}).items()},
        "params": params or {},
        "wildcards": wildcards or {},
        "config": config or {},
        "log": [str(log)],
        "threads": 1,
    }
    command = [sys.executable, "-c", RUNNER, json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    text = log.read_text() if log.exists() else done.stderr
    assert done.returncode == 0, text
    return text
