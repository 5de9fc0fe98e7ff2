"""A results folder with a file of every kind, small and consistent: for tests of what a check finds."""

from __future__ import annotations

import gzip
import json
import re
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pandas as pd
import torch
import yaml
from cislex.chunks.aggregate import aggregate_chunks
from cislex.chunks.attribute import ChunkJob, attribute_chunk
from cislex.chunks.gate import Gate, gate_attributions
from cislex.exports.tracks import export_tracks
from cislex.files.annotated_matrix import write_h5ad
from cislex.files.hdf5 import new_hdf5
from cislex.files.indexed_text import write_indexed, write_indexed_bed
from cislex.files.tables import create_array, write_regions, write_table
from cislex.insertions.constructs import GridSettings
from cislex.insertions.inserts import Insert
from cislex.insertions.plan_files import Plan, no_sites, write_plan
from cislex.motifs.files import MemeMotif, write_meme, write_modisco
from cislex.provenance import digest_file
from cislex.regions.extraction import write_regions_bed
from cislex.regions.genome import index_genome
from cislex.sequences.store import SequenceStore, encode_sequences
from cislex.verification.inputs import digest_folder
from cislex.verification.kinds import KINDS, Kind
from cislex.verification.tables import TABLES
from stored_project import LENGTH, SHAP, TARGETS, N, Project

#: Names of the config.
NAMES = {
    "analysis": "shap",
    "target": "t",
    "regions": "mine",
    "model": "net",
    "fold": "fold_0",
    "chunk": "0",
    "variants": "calls",
    "insertion": "pairs",
    "comparison": "all",
    "contrast": "both",
    "evolution": "walk",
    "source": "shap",
    "database": "known",
    "assay": "e",
    "page": "index",
    "logo": "pos_0",
    "run": "first",
}
SETTINGS = {
    "shap": {
        "regions": "mine",
        "folds": ["fold_0", "fold_1"],
        "lexicon": True,
        "database_hits": False,
        "gate": {"max_relative_delta": 1e-3, "on_fail": "keep"},
    }
}
#: Files of which a run keeps no digest of their own.
LISTED = re.compile(r"/(logos|chunks)/")
CONFIG = {"results": "results", "genome": {"fasta": "genome.fa"}, "seed": 0}


def place_of(kind: Kind, number: int = 0) -> str:
    """Path of a kind of file in the folder."""
    return kind.places[number].format(**NAMES)


def make_results(folder: Path, *, seed: int = 0) -> Path:
    """Write ``folder/results`` and return it; another seed makes another run of the same shape."""
    inputs, root = folder / "inputs", folder / "results"
    inputs.mkdir(parents=True)
    project = Project(inputs)
    (root / "genome").mkdir(parents=True)
    index_genome(
        project.fasta, *(root / "genome" / name for name in ("chromosomes.tsv", "index.fai", "index.gzi"))
    )
    _regions(root / "regions/mine", project, seed)
    _attributions(root, project, seed)
    _motifs(root, seed)
    _experiments(root, seed)
    _texts(root, seed)
    _tables(root, seed)
    record(root)
    return root


def record(root: Path) -> None:
    """Keep the digest of every file as a run does; a folder's for its logos."""
    outputs: dict[str, str | None] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_file() and not name.startswith("runs/") and not LISTED.search(name):
            outputs[f"{{results}}/{name}"] = digest_file(path)
    outputs["{results}/shap/t/logos"] = digest_folder(root / "shap/t/logos")
    outputs["{results}/shap/chunks/fold_0/0.h5"] = None
    lines = [{"params": "a", "value": {}}, {"params": "a", "inputs": {}, "outputs": outputs}]
    (root / "runs/records.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def _regions(folder: Path, project: Project, seed: int) -> None:
    table = project.regions.assign(name=[f"r{i}_{seed}" for i in range(N)])
    dropped = pd.DataFrame({"source_line": [N + 1], "chrom": "chr1", "start": 3, "end": 4})
    folder.mkdir(parents=True)
    write_regions_bed(table, folder / "regions.bed", dropped=1)
    write_table(dropped.assign(reason="unknown_bases", detail=str(seed)), folder / "dropped.tsv")
    write_table(
        dropped.assign(source_line=1, reason="unused_summit", detail=str(seed)), folder / "adjusted.tsv"
    )
    encode_sequences(folder / "regions.bed", project.fasta, folder / "sequences.h5")


def _attributions(root: Path, project: Project, seed: int) -> None:
    """Two folds of the project's model, one chunk each, aggregated and gated."""
    sequences, chunks, digests = root / "regions/mine/sequences.h5", {}, {}
    method = {**SHAP, "references": {"kind": "zeros"}}
    for fold, weights in project.weights.items():
        state = {name: values * (1 + seed / 10) for name, values in torch.load(weights).items()}
        torch.save(state, weights)
        out = root / f"shap/chunks/{fold}/0.h5"
        job = ChunkJob(chunk=0, chunks=1, fold=fold, targets={"t": TARGETS["t"]}, method=method)
        model = {"loader": "factory", "module": f"{project.folder / 'model.py'}:build"}
        attribute_chunk(sequences, weights, out, job, model=model, device="cpu")
        chunks[fold] = [out]
        with h5py.File(out) as handle:
            digests[fold] = str(handle.attrs["model_digest"])
    target, gate = root / "shap/t", Gate(on_fail="keep")
    aggregate_chunks(sequences, chunks, target / "attributions.all.h5", None, target="t", gate=Gate())
    gate_attributions(
        target / "attributions.all.h5", target / "attributions.h5", target / "qc.tsv", gate=gate
    )
    (root / "shap/inspected.json").write_text(json.dumps(digests))
    export_tracks(
        target / "attributions.h5",
        None,
        target / "contributions.bw",
        chromosomes=root / "genome/chromosomes.tsv",
    )
    _predictions(root, chunks, digests)


def _predictions(root: Path, chunks: dict[str, list[Path]], digests: dict[str, str]) -> None:
    with SequenceStore(root / "regions/mine/sequences.h5") as store:
        regions, source = store.regions(), store.source_digest
    values = {}
    for fold, (path,) in chunks.items():
        with h5py.File(path) as handle:
            values[fold] = handle["targets/t/prediction"][:]
    with new_hdf5(root / "shap/predictions.h5") as handle:
        for fold, found in values.items():
            create_array(handle, f"targets/{fold}/t", (N,), "f4")[...] = found
            create_array(handle, f"predictions/{fold}/output", (N, 2), "f4")[...] = found[:, None]
        write_regions(handle, regions)
        handle.attrs.update(
            source_digest=source,
            model_digests=json.dumps(digests),
            folds=json.dumps(list(values)),
            targets=json.dumps({"t": TARGETS["t"]}),
        )
    table = regions.assign(t=np.mean(list(values.values()), axis=0))
    write_table(table, root / "shap/predictions.tsv")
    write_table(regions.assign(**{"t.observed": 0.5, "t.predicted": table["t"]}), root / "shap/observed.tsv")


def _pattern(rng: np.random.Generator, n: int) -> Any:
    """A pattern of TF-MoDISco of n seqlets."""

    def matrices(kind: type) -> dict[str, Any]:
        names = ("sequence", "contrib_scores", "hypothetical_contribs")
        return {name: rng.random((20, 4)).astype(kind) for name in names}

    seqlets = [
        SimpleNamespace(start=5, end=25, example_idx=i % N, is_revcomp=False, **matrices(np.float32))
        for i in range(n)
    ]
    return SimpleNamespace(seqlets=seqlets, subcluster_to_subpattern=None, **matrices(np.float64))


def _motifs(root: Path, seed: int) -> None:
    rng, folder = np.random.default_rng(seed), root / "shap/t"
    patterns = {"pos_patterns": [_pattern(rng, 9 + seed), _pattern(rng, 7)]}
    sizes = [9 + seed, 7]
    for path in (folder / "modisco.h5", root / "lexicon/lexicon.h5"):
        path.parent.mkdir(exist_ok=True)
        write_modisco(path, patterns, rows=np.arange(N), offset=0, length=LENGTH, attributes={"regions": N})
    words = {
        "sign": "+",
        "n_seqlets": sizes,
        "width": 8,
        "consensus": "ACGT",
        "information": 1.5,
        "flagged": "",
    }
    logo = {"logo": ["pos_0.svg", "pos_1.svg"], "match_logo": ""}
    places = {"pattern": [f"pos_patterns/pattern_{i}" for i in range(2)]}
    write_table(pd.DataFrame({"motif": ["pos_0", "pos_1"], **words, **logo, **places}), folder / "motifs.tsv")
    ppm = np.full((4, 8), 0.25)
    for path in (folder / "motifs.meme", root / "lexicon/lexicon.meme"):
        write_meme([MemeMotif(f"pos_{i}", f"m{seed}", ppm, sizes[i]) for i in range(2)], path)
    (folder / "logos").mkdir()
    for name in ("pos_0", "pos_0.rc", "pos_1", "pos_1.rc"):
        svg = f'<svg xmlns="http://www.w3.org/2000/svg"><title>{name} {seed}</title></svg>\n'
        (folder / f"logos/{name}.svg").write_text(svg)
    lexicon = pd.DataFrame(
        {
            "word": ["pos_0", "pos_1"],
            "name": ["A", "B"],
            "sign": "+",
            "n_patterns": 1,
            "n_seqlets": sizes,
            "width": 8,
            "consensus": "ACGT",
            "match": "",
            "match_q": "",
            "database": "",
            "composite_of": "",
            "match_name": "",
            "match_p": "",
            "n_targets": 1,
            "information": 1.5,
            "flagged": "",
            **places,
            "trim_start": 0,
            "trim_end": 8,
            "match_null": "",
        }
    )
    write_table(lexicon, root / "lexicon/lexicon.tsv")
    members = pd.DataFrame(
        {
            "analysis": "shap",
            "target": "t",
            **places,
            "word": ["pos_0", "pos_1"],
            "orientation": "+",
            "offset": 0,
            "motif": ["pos_0", "pos_1"],
            "sign": "+",
            "n_seqlets": sizes,
            "consensus": "ACGT",
            "similarity": 1.0,
            "left_out": "",
            "contribution": 0.5,
        }
    )
    write_table(members, root / "lexicon/lexicon_members.tsv")
    _hits(root, seed, sizes)


def _hits(root: Path, seed: int, sizes: list[int]) -> None:
    with SequenceStore(root / "regions/mine/sequences.h5") as store:
        regions = store.regions()
    found = pd.DataFrame(
        {
            "#chrom": "chr1",
            "start": regions["start"] + 4 + seed,
            "end": regions["start"] + 12 + seed,
            "motif": "A",
            "score": 900,
            "strand": "+",
            "word": np.where(np.arange(N) % 2, "pos_1", "pos_0"),
            "pattern": "pos_patterns/pattern_0",
            "hit_coefficient": 1.0,
            "hit_similarity": 0.9,
            "contribution": 0.25,
            "share": 0.5,
            "analysis": "shap",
            "region": regions["name"],
        }
    )
    write_indexed_bed(found.sort_values("start"), root / "shap/t/hits.bed.gz")
    counts = found["word"].value_counts()
    usage = pd.DataFrame(
        {
            "word": ["pos_0", "pos_1"],
            "name": ["A", "B"],
            "analysis": "shap",
            "target": "t",
            "n_seqlets": sizes,
            "n_hits": [counts["pos_0"], counts["pos_1"]],
            "n_regions": 5,
            "mean_contribution": 0.5,
            "sign": "+",
            "n_patterns": 1,
            "n_hit_regions": 5,
            "mean_hit_contribution": 0.25,
            "seqlet_recall": 0.75,
        }
    )
    write_table(usage, root / "lexicon/usage.tsv")
    obs = pd.DataFrame({"name": ["A", "B"], "n_seqlets": sizes}, index=["pos_0", "pos_1"])
    var = pd.DataFrame({"analysis": ["shap"], "target": ["t"]}, index=["shap.t"])
    matrix = np.array(sizes, float)[:, None]
    write_h5ad(
        root / "lexicon/usage.h5ad", matrix=matrix, rows=obs, columns=var, layers={"hits": matrix * np.nan}
    )
    seqlets = pd.DataFrame(
        {
            "chrom": "chr1",
            "start": regions["start"] + 4,
            "end": regions["start"] + 12,
            "name": regions["name"],
            "strand": ".",
            "sign": "+",
            "p": 0.01,
            "q": 0.02,
            "contribution": 0.5 + seed,
            "sequence": "ACGTACGT",
        }
    )
    write_table(seqlets, root / "shap/t/seqlets.tsv.gz")


def _array(path: Path, arrays: dict[str, np.ndarray], **attributes: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_hdf5(path) as handle:
        for name, values in arrays.items():
            create_array(handle, name, values.shape, values.dtype)[...] = values
        handle.attrs.update(attributes or {"format_version": 1})


def _experiments(root: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    alleles = pd.DataFrame(
        {"chrom": "chr1", "ref": "A", "alt": "C", "id": [f"v{i}_{seed}" for i in range(4)]}
    )
    calls = root / "variants/calls"
    calls.mkdir(parents=True)
    start = np.arange(4) * 10 + seed
    own = alleles.assign(source_line=range(2, 6), start=start, at=start, before="A", after="C")
    write_table(
        own[["source_line", "chrom", "start", "ref", "alt", "id", "at", "before", "after"]],
        calls / "alleles.tsv",
    )
    scored = alleles.assign(**{"pos": start + 1, "t.effect": rng.random(4), "t.p": 0.5, "t.q": 0.5})
    write_table(
        scored[["chrom", "pos", "ref", "alt", "id", "t.effect", "t.p", "t.q"]], calls / "variants.tsv"
    )
    header = "##fileformat=VCFv4.2\n##contig=<ID=chr1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    rows = "".join(f"chr1\t{at + 1}\tv{i}_{seed}\tA\tC\t.\t.\t.\n" for i, at in enumerate(start))
    write_indexed([header + rows], calls / "variants.vcf.gz", preset="vcf", is_long=False)
    one_hot = np.eye(4, dtype=np.uint8)[rng.integers(0, 4, (2, 9))].transpose(0, 2, 1).copy()
    top = {"targets/t/rows": np.array([0, 3])}
    for allele in ("reference", "alternative"):
        top[f"targets/t/{allele}_hypothetical"] = rng.random((2, 4, 9)).astype("f4")
        top[f"targets/t/{allele}_sequences"] = one_hot
        top[f"targets/t/{allele}_prediction"] = rng.random(2).astype("f4")
        top[f"targets/t/{allele}_max_relative_delta"] = np.full(2, np.nan, "f4")
    _array(calls / "top_variants.h5", top)
    measures = {"measures": rng.random((4, 1, 5)), "null": rng.random((3, 1)), "rows": np.arange(4)}
    _array(calls / "chunks/fold_0/0.h5", {**measures, "draws": np.arange(3)})
    codes = rng.integers(0, 4, (3, 40)).astype(np.uint8)
    choices = np.eye(4)[:, [0, 1, 2, 3, 0]]
    inserts = (Insert("pos_0", "A", "lexicon", choices), Insert("pos_1", "B", "lexicon", choices))
    plan = Plan(
        inserts=inserts,
        grid_settings=GridSettings(),
        backgrounds=codes,
        names=["a", "b", "c"],
        seed=seed,
        sites=no_sites(40),
        site_settings=None,
    )
    pairs = root / "insertions/pairs"
    pairs.mkdir(parents=True)
    write_plan(plan, pairs / "plan.h5")
    table = pd.DataFrame({"word": ["pos_0", "pos_1"], "name": ["A", "B"], "source": "lexicon", "width": 5})
    write_table(table.assign(inserted=f"ACGTA{seed}"), pairs / "inserts.tsv")
    predicted = {"insertions/t": rng.random((3, 5)), "sites/t": rng.random((0, 0))}
    _array(pairs / "chunks/fold_0/0.h5", predicted, plan=plan.digest())
    write_table(
        pd.DataFrame({name: [] for name in ["chrom", "start", "end", "name", "strand", "word", "region"]}),
        pairs / "sites.tsv",
    )
    walk = root / "evolution/walk"
    walk.mkdir(parents=True)
    steps = pd.DataFrame(
        {
            "sequence": [f"s{seed}"] * 3,
            "round": range(3),
            "position_0based": ["", 1, 2],
            "from": "A",
            "to": "C",
            "objective": 0.5,
            "prediction_t": 0.5,
            "stop": "",
        }
    )
    write_table(steps, walk / "trajectories.tsv")
    (walk / "evolved.fa").write_text(f">s{seed} 2 edits\nACGT\n")
    arrays = {
        "rounds": np.array([[0, 1, 2]]),
        "sequences": one_hot[None, :1].repeat(3, 1).copy(),
        "contributions": rng.random((1, 3, 9)).astype("f4"),
    }
    _array(walk / "evolution.h5", arrays)
    with h5py.File(walk / "evolution.h5", "r+") as handle:
        write_regions(
            handle, pd.DataFrame({"chrom": ["chr1"], "start": 0, "end": 9, "name": "s", "strand": "+"})
        )


def _texts(root: Path, seed: int) -> None:
    for name in ("motif_databases/known.meme", "simulated/motifs.meme"):
        (root / name).parent.mkdir(exist_ok=True)
        write_meme([MemeMotif("M1", f"known{seed}", np.full((4, 6), 0.25), 20)], root / name)
    (root / "simulated/genome.fa").write_text(f">chrS1\nACGT{'A' * seed}\n")
    (root / "simulated/e.narrowPeak").write_text(f"chrS1\t{seed}\t20\tp\t9\t.\t1\t-1\t-1\t5\n")
    (root / "models/net").mkdir(parents=True)
    for path in (root / "simulated/model.pt", root / "models/net/fold_0.pt"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("data.pkl", b"weights" * 20 + bytes([seed]))
    (root / "report").mkdir()
    links = '<a href="{}shap/t/qc.tsv">q</a><a href="#top">t</a>'
    page = f'<!DOCTYPE html><html><body id="top">{seed}{links}</body></html>\n'
    (root / "report.html").write_text(page.format(""))
    (root / "report/index.html").write_text(page.format("../"))
    (root / "config.yaml").write_text(yaml.safe_dump({**CONFIG, "seed": seed}))
    (root / "runs").mkdir()
    (root / "runs/first.yaml").write_text(yaml.safe_dump({"began": seed}))
    (root / "runs/digests.json").write_text("{}")
    (root / "cost.txt").write_text(f"an hour {seed}\n")
    (root / "shap/inspection.txt").write_text(f"a CNN {seed}\n")
    (root / "shap/references.json").write_text(json.dumps({"n": seed}))


def _tables(root: Path, seed: int) -> None:
    """Every table that is not there yet, from what a check expects of it: two rows."""
    cells = {"i": "1", "f": "0.5", "s": f"x{seed}"}
    own = {"word": "pos_0", "word_a": "pos_0", "word_b": "pos_1", "hits": "1"}
    for kind in KINDS:
        if kind.name not in TABLES:
            continue
        for number in range(len(kind.places)):
            path = root / place_of(kind, number)
            if path.exists() or kind.name == "windows":
                continue
            table = TABLES[kind.name]
            names = [*table.names, *(["more"] if table.more else [])]
            row = [own.get(name, cells[table.kind_of(name)]) for name in names]
            rows = [row, row]
            if kind.name == "training":
                names, rows = [*table.names, "kept"], [["1", "0.5", "0.5", "1"], ["2", "0.5", "0.5", "0"]]
            if kind.name == "evaluation of training":
                rows = [
                    [
                        {"split": f"x{seed}", "n": "2"}.get(name, cell)
                        for name, cell in zip(names, row, strict=True)
                    ]
                ]
            text = "".join("\t".join(line) + "\n" for line in [names, *rows])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress(text.encode(), mtime=0) if path.suffix == ".gz" else text.encode())
