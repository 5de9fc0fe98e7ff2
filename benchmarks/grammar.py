"""Planted grammars under several seeds: are the lexicon's words those planted, and is the syntax recovered?

    python benchmarks/grammar.py [--seeds 0,1,2,3,4] [--grammar-seeds 1] [--peaks 300] [--out FILE]

The stages of config/grammar.yaml run one after the other in this process, once for each seed of the genome
and of TF-MoDISco. A pattern's truth is what its seqlets lie on: the planted motifs with whose sites at least
half of the seqlets' cores share half of the narrower one. Sites are those that the model counts: motifs that
the genome holds by chance are as good as planted ones. Told are, for each seed, the adjusted Rand index of
the words of patterns (without composites) against that truth, composites that are right (their seqlets lie
on two planted motifs, or on one twice, and on each that they are named by), the planted motifs that are a
word (Jaccard index with those planted; the lowest between two seeds), and, for the first seeds, the planted
grammars that syntax recovers.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import pandas as pd
import yaml
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts")]

from cislex.chunks.aggregate import aggregate_chunks
from cislex.chunks.attribute import ChunkJob, attribute_chunk
from cislex.chunks.gate import Gate
from cislex.demo.grammar_truth import compare_grammar
from cislex.demo.planted_model import build_model, counted_sites, plant_model
from cislex.demo.simulation import SimulationOptions, simulate_genome
from cislex.files.tables import open_hdf5
from cislex.lexicon.combine import combine_lexicon
from cislex.lexicon.files import LexiconFiles
from cislex.lexicon.patterns import PatternSource
from cislex.motifs.discovery import ModiscoSettings, find_motifs
from cislex.motifs.files import read_motifs
from cislex.motifs.hits import HitSettings, call_hits
from cislex.regions.extraction import RegionOptions, extract_regions
from cislex.regions.genome import index_genome
from cislex.sequences.store import encode_sequences
from cislex.syntax.analysis import analyse_syntax

MODEL = {"loader": "factory", "module": f"{ROOT}/scripts/cislex/demo/planted_model.py:build_model"}
METHOD = {
    "name": "deep_lift_shap", "rule": "rescale", "steps": 50, "unknown_ops": "error",
    "references": {"kind": "dinucleotide_shuffle", "n": 5, "seed": 0},
}  # fmt: skip
LENGTH = 240
#: Least share of the seqlets that lie on a site, and of the narrower of core and site that they share.
LEAST_SEQLETS, LEAST_SHARED = 0.5, 0.5


def write_genome(folder: Path, settings: dict[str, Any], *, seed: int) -> list[str]:
    """Genome, peaks, truth and the planted model; names of the assays."""
    options = SimulationOptions(**settings)
    peaks: dict[str, str | Path] = {assay: folder / f"{assay}.narrowPeak" for assay in options.assays}
    made = [folder / name for name in ("genome.fa", "truth.tsv", "motifs.meme", "grammar.tsv")]
    simulate_genome(made[0], peaks, *made[1:], seed=seed, options=options)
    plant_model(made[2], folder / "model.pt", assays=settings["assays"])
    index_genome(made[0], folder / "chromosomes.tsv", folder / "genome.fai", folder / "genome.gzi")
    return list(options.assays)


def find_patterns(folder: Path, assay: str, *, output: int, seed: int) -> None:
    """Attributions and motifs of one assay, in a folder of its own."""
    own = folder / assay
    own.mkdir()
    extract_regions(
        folder / f"{assay}.narrowPeak", folder / "genome.fa", own / "regions.bed", own / "dropped.tsv",
        options=RegionOptions(length=LENGTH),
    )  # fmt: skip
    encode_sequences(own / "regions.bed", folder / "genome.fa", own / "sequences.h5")
    targets = {assay: {"kind": "output", "index": output}}
    job = ChunkJob(chunk=0, chunks=1, fold="fold_0", targets=targets, method=METHOD)
    attribute_chunk(
        own / "sequences.h5", folder / "model.pt", own / "chunk.h5", job, model=MODEL, device="cpu"
    )
    aggregate_chunks(
        own / "sequences.h5", {"fold_0": [own / "chunk.h5"]}, own / "attributions.h5", own / "qc.tsv",
        target=assay, gate=Gate(on_fail="keep"),
    )  # fmt: skip
    settings = ModiscoSettings(max_seqlets=1500, seed=seed)
    find_motifs(own / "attributions.h5", own / "modisco.h5", settings, threads=1)


def sites_of(folder: Path, assay: str, *, output: int) -> dict[int, NDArray[Any]]:
    """Start, end and name of the sites that the model counts in each region of an assay."""
    import torch

    model = build_model()
    model.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
    with open_hdf5(folder / assay / "sequences.h5", what="sequences", datasets=("sequences",)) as handle:
        sequences = torch.tensor(handle["sequences"][()], dtype=torch.float32)
    sites = counted_sites(model, folder / "motifs.meme", sequences, output=output)
    return {row: found[["start", "end", "name"]].to_numpy() for row, found in sites.groupby("row")}


def truth_of_patterns(folder: Path, assay: str, *, output: int) -> dict[str, str]:
    """The planted motifs of each pattern of an assay, by its name."""
    sites = sites_of(folder, assay, output=output)
    own = folder / assay
    found = {}
    with h5py.File(own / "modisco.h5") as handle:
        for motif in read_motifs(own / "modisco.h5"):
            seqlets = handle[motif.pattern]["seqlets"]
            width = motif.cwm.shape[1]
            core = (width - motif.end, width - motif.start) if motif.is_reversed else (motif.start, motif.end)
            covered: dict[str, int] = {}
            rows = [seqlets[key][:] for key in ("example_idx", "start", "end", "is_revcomp")]
            for row, start, end, turned in zip(*rows, strict=True):
                low, high = (end - core[1], end - core[0]) if turned else (start + core[0], start + core[1])
                names = {
                    name
                    for begin, finish, name in sites.get(int(row), ())
                    if min(high, finish) - max(low, begin) >= LEAST_SHARED * min(finish - begin, high - low)
                }
                for name in names:
                    covered[name] = covered.get(name, 0) + 1
            least = LEAST_SEQLETS * len(rows[0])
            found[motif.name] = " + ".join(
                sorted(name for name, number in covered.items() if number >= least)
            )
    return found


def run_syntax(folder: Path, assays: list[str], files: LexiconFiles) -> list[dict[str, Any]]:
    """Hits and syntax of every assay, and what was recovered of its grammar."""
    tables = []
    for assay in assays:
        own = folder / assay
        hits, attributions = own / "hits.bed.gz", own / "attributions.h5"
        call_hits(attributions, files.modisco, hits, HitSettings(), analysis=assay, names=files.table)
        words = {"lexicon": files.table, "motifs": files.modisco}
        analyse_syntax(hits, attributions, own, attributions=attributions, **words)
        planted = (folder / "grammar.tsv", folder / "truth.tsv")
        tables.append(compare_grammar(*planted, hits, attributions, own, own / "grammar.tsv"))
    return list(json.loads(pd.concat(tables).to_json(orient="records")))


def is_right(composite_of: str, truth: str, called: Mapping[str, str]) -> bool:
    """Whether a composite's seqlets lie on the words that it is named by, and on two sites."""
    parts = [part[:-3] for part in composite_of.split()[::2]]
    named, there = {called[part] for part in parts if part in called}, set(truth.split(" + "))
    return named <= there and (len(there) > 1 or len(parts) > len(named) == 1)


def run_seed(folder: Path, settings: dict[str, Any], *, seed: int, with_grammar: bool) -> dict[str, Any]:
    """The chain under one seed, and how it compares with the truth."""
    from sklearn.metrics import adjusted_rand_score

    assays = write_genome(folder, settings, seed=seed)
    for output, assay in enumerate(assays):
        find_patterns(folder, assay, output=output, seed=seed)
    names = ("lexicon.tsv", "lexicon_members.tsv", "lexicon.meme", "lexicon.h5")
    files = LexiconFiles(*(folder / name for name in names))
    sources = [PatternSource(assay, assay, folder / assay / "modisco.h5") for assay in assays]
    combine_lexicon(sources, files, databases={})
    members = pd.read_csv(files.members, sep="\t", keep_default_na=False)
    members = members[members["word"] != ""]
    truth = {assay: truth_of_patterns(folder, assay, output=k) for k, assay in enumerate(assays)}
    planted = [truth[row["analysis"]][row["motif"]] for _, row in members.iterrows()]
    words = pd.read_csv(files.table, sep="\t", keep_default_na=False)
    parts = {row["word"]: row["composite_of"] for _, row in words.iterrows() if row["composite_of"]}
    members = members.assign(planted=planted)
    simple = members[~members["word"].isin(list(parts))]
    called = simple.groupby("word")["planted"].agg(lambda names: names.value_counts().index[0])
    wanted = set(pd.read_csv(folder / "truth.tsv", sep="\t")["name"])
    return {
        "seed": seed,
        "patterns": len(members),
        "rand_index": round(float(adjusted_rand_score(simple["planted"], simple["word"])), 4),
        "words": sorted(called),
        "jaccard": round(len(set(called) & wanted) / len(set(called) | wanted), 4),
        "planted": sorted(wanted),
        "composites": len(members) - len(simple),
        "composites_right": sum(
            is_right(parts[row["word"]], row["planted"], called)
            for row in members.to_dict("records")
            if row["word"] in parts
        ),
        "members": members[["analysis", "motif", "word", "planted"]].to_dict("records"),
        "composite_of": parts,
        "grammar": run_syntax(folder, assays, files) if with_grammar else [],
    }


def main() -> None:
    """Run every seed and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2,3,4")
    parser.add_argument("--grammar-seeds", type=int, default=1, help="seeds whose syntax is compared, too")
    parser.add_argument("--peaks", type=int, default=300)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    settings = yaml.safe_load((ROOT / "config" / "grammar.yaml").read_text(encoding="utf-8"))["simulate"]
    settings = {**settings, "peaks_per_assay": options.peaks}
    settings.pop("seed")
    found = []
    print("| seed | patterns | composites | right | words | Rand index | Jaccard | grammars recovered | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for place, seed in enumerate(map(int, options.seeds.split(","))):
        began = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            with_grammar = place < options.grammar_seeds
            one = run_seed(Path(folder), settings, seed=seed, with_grammar=with_grammar)
        good = [row["recovered"] for row in one["grammar"]]
        keys = ("seed", "patterns", "composites", "composites_right", "n_words", "rand_index", "jaccard")
        cells = [{**one, "n_words": len(one["words"])}[key] for key in keys]
        seconds = round(time.process_time() - began)
        print(f"| {' | '.join(map(str, cells))} | {sum(good)} of {len(good)} | {seconds} |", flush=True)
        for row in one["grammar"]:
            if not row["recovered"]:
                print(f"  not recovered: {row}", flush=True)
        found.append({**one, "seconds": seconds})
        if options.out:
            options.out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    pairs = itertools.combinations([set(one["words"]) for one in found], 2)
    between = [len(a & b) / len(a | b) for a, b in pairs]
    print(f"lowest Jaccard index between two seeds: {min(between, default=1.0):.3f}")


if __name__ == "__main__":
    main()
