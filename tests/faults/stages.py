"""The stages of the workflow over small inputs: each reads from one folder and writes into another."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parent))
from table_stages import TABLE_STAGES, make_tables, script

LENGTH, N = 256, 400
TARGETS = {"first": {"kind": "output", "index": 0}, "second": {"kind": "output", "index": 1}}
SETTINGS = {"tasks": 2, "input_length": LENGTH, "filters": 4}
METHOD = {
    "name": "deep_lift_shap", "rule": "rescale", "steps": 50, "unknown_ops": "error",
    "references": {"kind": "dinucleotide_shuffle", "n": 2, "seed": 0},
}  # fmt: skip
#: Stages whose results a stage reads. Many share one of attributions, which no kernel is compiled for.
NEEDS = {
    "extract_regions": ("index_genome",),
    "encode_sequences": ("extract_regions",),
    "predict_regions": ("encode_sequences",),
    "attribute_chunk": ("encode_sequences",),
    "aggregate_chunks": ("make_chunk",),
    "choose_windows": ("aggregate_chunks",),
    "export_tracks": ("aggregate_chunks",),
    "export_layouts": ("export_tracks", "call_hits"),
    "export_browser": ("export_tracks", "call_hits", "predict_regions"),
    "find_motifs": ("aggregate_chunks",),
    "make_patterns": ("aggregate_chunks",),
    "annotate_motifs": ("make_patterns",),
    "call_hits": ("make_patterns",),
    "plant_model": ("simulate_genome",),
    "compare_grammar": ("simulate_genome", "analyse_syntax"),
    "combine_lexicon": ("make_patterns",),
    "analyse_syntax": ("call_hits",),
    "summarise_usage": ("combine_lexicon",),
    "call_seqlets": ("make_patterns",),
    "compare_with_truth": ("aggregate_chunks", "make_tables"),
    "gate_attributions": ("aggregate_chunks",),
    "inspect_model": ("make_tables",),
    "estimate_cost": ("inspect_model", "extract_regions"),
    "train_model": ("make_tables",),
    "score_baseline": ("train_model",),
    "evaluate_predictions": ("predict_regions", "make_tables"),
    "render_report": ("make_tables",),
    "verify_results": ("make_tables",),
    "make_tables": ("extract_regions",),
    "prepare_variants": ("index_genome",),
    "score_variants": ("prepare_variants",),
    "combine_variants": ("score_variants",),
    "attribute_variants": ("combine_variants", "make_tables"),
    "evaluate_variants": ("combine_variants", "make_tables"),
    "prepare_insertions": ("encode_sequences",),
    "insert_chunk": ("prepare_insertions",),
    "insert_motifs": ("insert_chunk",),
    "measure_faithfulness": ("aggregate_chunks",),
    "compare_methods": ("measure_faithfulness",),
    "contrast_hits": ("call_hits",),
    "evolve_sequences": ("make_tables",),
    "make_chunk": ("encode_sequences",),
}


def make_inputs(work: Path, stage: str, seed: int = 0) -> None:
    """Make what a stage reads, each by the stage that makes it, unless it is there.

    Another ``seed`` gives another run: other DNA, peaks and weights.
    """
    if not (work / ".made-first").exists():
        make_first(work, seed)
        (work / ".made-first").touch()
    for needed in NEEDS.get(stage, ()):
        if not (work / f".made-{needed}").exists():
            make_inputs(work, needed, seed)
            {**STAGES, **MAKERS}[needed](work, work)
            (work / f".made-{needed}").touch()


def make_first(work: Path, seed: int) -> None:
    """A genome, peaks, sequences, weights and known motifs."""
    import numpy as np
    import torch
    from cislex.models.architectures import build
    from cislex.training.train import save_checkpoint

    rng = np.random.default_rng(seed)
    letters = ["".join("ACGT"[base] for base in rng.integers(0, 4, 60_000)) for _ in range(2)]
    (work / "genome.fa").write_text("".join(f">chr{i}\n{text}\n" for i, text in enumerate(letters)))
    starts = np.sort(rng.choice(500, N // 2, replace=False)) * 100 + 3000
    peaks = [f"chr{i}\t{start}\t{start + 100}\tp{i}_{start}\n" for i in range(2) for start in starts]
    (work / "peaks.bed").write_text("".join(peaks))
    barred = [f"chr{i}\t{start}\t{start + 1}\n" for i in range(2) for start in range(0, 60_000, 3000)]
    (work / "barred.bed").write_text("".join(barred))
    calls = [
        f"chr{i}\t{at + 1}\t.\t{text[at]}\t{'CGTA'['ACGT'.index(text[at])]}\t.\t.\t.\n"
        for i, text in enumerate(letters)
        for at in range(400, 59_000, 20)
    ]
    header = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (work / "calls.vcf").write_text(header + "".join(calls))
    (work / "direct.fa").write_text("".join(f">s{i}\n{letters[0][i : i + LENGTH]}\n" for i in range(N)))
    torch.manual_seed(seed)
    model = build("cnn", **SETTINGS)
    weights = work / "weights.pt"
    save_checkpoint(model, weights, architecture="cnn", hyperparameters=SETTINGS, tasks=["a", "b"])
    (work / "known.meme").write_text(
        "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF M1 PLANTED\nletter-probability matrix: alength= 4 w= 8\n"
        + "".join(f"{'.97 .01 .01 .01' if i % 2 else '.01 .01 .97 .01'}\n" for i in range(8))
    )


def make_chunk(work: Path, out: Path) -> None:
    attribute_chunk(work, out, method={**METHOD, "references": {"kind": "zeros"}})


def make_patterns(work: Path, out: Path) -> None:
    """Where contributions of some regions are greatest: patterns that have hits."""
    import h5py
    import numpy as np
    from cislex.motifs.files import write_modisco

    patterns = []
    with h5py.File(work / "attributions.h5") as attributions:
        bases, scores = attributions["sequences"][:40], attributions["hypothetical"][:40]
    total = np.abs(bases * scores).sum(1)
    for row in np.argsort(-total.max(1))[:3]:
        start = int(np.clip(total[row].argmax() - 16, 0, LENGTH - 32))
        site, score = (x[row, :, start : start + 32].T.astype(float) for x in (bases, scores))
        matrices = {"sequence": site, "contrib_scores": site * score, "hypothetical_contribs": score}
        place = {"start": start, "end": start + 32, "example_idx": row, "is_revcomp": False}
        seqlets = [SimpleNamespace(**matrices, **place)] * 30
        patterns.append(SimpleNamespace(**matrices, seqlets=seqlets, subcluster_to_subpattern=None))
    made = {"pos_patterns": patterns}
    write_modisco(out / "modisco.h5", made, rows=np.arange(40), offset=0, length=LENGTH, attributes={})


def index_genome(work: Path, out: Path) -> None:
    from cislex.regions.genome import index_genome

    index_genome(work / "genome.fa", out / "chromosomes.tsv", out / "genome.fai", out / "genome.gzi")


def extract_regions(work: Path, out: Path) -> None:
    from cislex.regions.extraction import RegionOptions, extract_regions

    extract_regions(
        work / "peaks.bed", work / "genome.fa", out / "regions.bed", out / "dropped.tsv",
        options=RegionOptions(length=LENGTH), blacklist=work / "barred.bed",
    )  # fmt: skip


def encode_sequences(work: Path, out: Path) -> None:
    from cislex.sequences.store import encode_sequences

    encode_sequences(work / "regions.bed", work / "genome.fa", out / "sequences.h5")


def import_sequences(work: Path, out: Path) -> None:
    from cislex.sequences.importing import import_sequences

    import_sequences(
        work / "direct.fa", out / "regions.bed", out / "dropped.tsv", out / "sequences.h5", length=LENGTH
    )


def predict_regions(work: Path, out: Path) -> None:
    from cislex.prediction.predict import predict_regions

    predict_regions(
        work / "sequences.h5", {"a": work / "weights.pt", "b": work / "weights.pt"}, out / "predictions.h5",
        out / "predictions.tsv", wanted=TARGETS, loader="trained", device="cpu", batch_size=8,
    )  # fmt: skip


def attribute_chunk(work: Path, out: Path, *, method: dict[str, object] = METHOD) -> None:
    from cislex.chunks.attribute import ChunkJob, attribute_chunk

    job = ChunkJob(chunk=0, chunks=1, fold="a", targets=TARGETS, method=method)
    model = {"loader": "trained"}
    attribute_chunk(
        work / "sequences.h5", work / "weights.pt", out / "chunk.h5", job, model=model, device="cpu"
    )


def aggregate_chunks(work: Path, out: Path) -> None:
    from cislex.chunks.aggregate import aggregate_chunks
    from cislex.chunks.gate import Gate

    chunks = {"a": [work / "chunk.h5"]}
    gate = Gate(on_fail="keep")
    aggregate_chunks(
        work / "sequences.h5", chunks, out / "attributions.h5", out / "qc.tsv", target="first", gate=gate
    )


def choose_windows(work: Path, out: Path) -> None:
    from cislex.chunks.window_choice import ScreenSettings, choose_windows

    choose_windows(work / "attributions.h5", out / "windows.tsv", ScreenSettings(width=20))


def export_tracks(work: Path, out: Path) -> None:
    from cislex.exports.tracks import export_tracks

    export_tracks(work / "attributions.h5", work / "genome.fa", out / "contributions.bw")


def export_layouts(work: Path, out: Path) -> None:
    names = ["modisco", "chrombpnet", "bedgraph", "anndata"]
    files = (work / "contributions.bw", work / "hits.bed.gz")
    script("export_layouts")(work / "attributions.h5", out / "exports", names, *files)


def export_browser(work: Path, out: Path) -> None:
    names = {"contributions": "contributions.bw", "hits": "hits.bed.gz", "predictions": "predictions.tsv"}
    target = {"analysis": "a", "target": "first", "attributions": work / "attributions.h5"}
    genome = {
        "chromosomes": "chromosomes.tsv",
        "fasta": "genome.fa",
        "fai": "genome.fai",
        "gzi": "genome.gzi",
    }
    script("export_browser")(
        str(out),
        [target | {key: work / name for key, name in names.items()}],
        {key: work / name for key, name in genome.items()},
        {"r": work / "regions.bed"},
        [],
        {"title": "Demo"},
    )


def find_motifs(work: Path, out: Path) -> None:
    from cislex.motifs.discovery import ModiscoSettings, find_motifs

    settings = ModiscoSettings(max_seqlets=150, min_metacluster_size=20, n_leiden_runs=2)
    find_motifs(work / "attributions.h5", out / "modisco.h5", settings, threads=1)


def annotate_motifs(work: Path, out: Path) -> None:
    from cislex.motifs.annotation import annotate_motifs

    made = (out / "motifs.tsv", out / "motifs.meme", out / "logos")
    annotate_motifs(work / "modisco.h5", work / "known.meme", *made)


def call_hits(work: Path, out: Path) -> None:
    from cislex.motifs.hits import HitSettings, call_hits

    call_hits(
        work / "attributions.h5", work / "modisco.h5", out / "hits.bed.gz", HitSettings(), analysis="demo"
    )


def analyse_syntax(work: Path, out: Path) -> None:
    settings = {"min_hits": 2, "min_regions": 2, "permutations": 99}
    words = {"motifs": work / "modisco.h5"}
    script("analyse_syntax")(
        work / "hits.bed.gz", work / "attributions.h5", out, settings=settings, words=words, trimming={}
    )


def combine_lexicon(work: Path, out: Path) -> None:
    from cislex.lexicon.combine import combine_lexicon
    from cislex.lexicon.files import LexiconFiles
    from cislex.lexicon.patterns import PatternSource

    names = ("lexicon.tsv", "lexicon_members.tsv", "lexicon.meme", "lexicon.h5")
    sources = [PatternSource("demo", target, work / "modisco.h5") for target in TARGETS]
    known = {"known": work / "known.meme"}
    combine_lexicon(sources, LexiconFiles(*(out / name for name in names)), databases=known)


def summarise_usage(work: Path, out: Path) -> None:
    from cislex.lexicon.usage import LexiconInputs, UsageSource, summarise_usage

    files = LexiconInputs(*(work / f"lexicon{end}" for end in (".tsv", "_members.tsv", ".h5")))
    sources = [UsageSource("demo", target) for target in TARGETS]
    summarise_usage(files, sources, out / "usage.tsv", out / "usage.h5ad")


def call_seqlets(work: Path, out: Path) -> None:
    from cislex.motifs.seqlets import call_seqlets

    call_seqlets(work / "attributions.h5", out / "seqlets.tsv.gz", databases={"known": work / "known.meme"})


def simulate_genome(work: Path, out: Path) -> None:
    from cislex.demo.simulation import SimulationOptions, simulate_genome

    options = SimulationOptions(chromosomes=2, chromosome_length=60_000, peaks_per_assay=20)
    made = [out / name for name in ("made.fa", "truth.tsv", "planted.meme", "grammar.tsv")]
    peaks = {assay: out / f"{assay}.narrowPeak" for assay in options.assays}
    simulate_genome(made[0], peaks, *made[1:], options=options)


def compare_grammar(work: Path, out: Path) -> None:
    files = {name: str(work / f"{name}.tsv") for name in ("grammar", "truth")}
    files |= {"hits": str(work / "hits.bed.gz"), "attributions": str(work / "attributions.h5")}
    script("compare_grammar")(**files, tables=str(work), out=str(out / "recovered.tsv"))


def prepare_variants(work: Path, out: Path) -> None:
    from cislex.variants.checked import prepare_variants
    from cislex.variants.windows import WindowOptions

    prepare_variants(
        work / "calls.vcf", work / "genome.fa", out / "alleles.tsv", out / "dropped_variants.tsv",
        windows=WindowOptions(length=LENGTH),
    )  # fmt: skip


def score_variants(work: Path, out: Path) -> None:
    from cislex.variants.chunk import VariantJob, score_chunk

    settings = {
        "fold": "a", "targets": TARGETS, "windows": {"length": LENGTH, "shifts": [0]},
        "null": {"size": 20, "seed": 0},
    }  # fmt: skip
    score_chunk(
        work / "alleles.tsv", work / "genome.fa", work / "weights.pt", out / "scores.h5",
        VariantJob.from_settings(settings), model={"loader": "trained"}, device="cpu",
    )  # fmt: skip


def combine_variants(work: Path, out: Path) -> None:
    from cislex.variants.summary import VariantFiles, combine_variants

    made = VariantFiles(*(out / f"variants.{ending}" for ending in ("tsv", "vcf.gz")))
    combine_variants(
        work / "alleles.tsv", {"a": [work / "scores.h5"]}, work / "chromosomes.tsv", made, wanted=TARGETS,
        null={"size": 20, "seed": 0},
    )  # fmt: skip


def attribute_variants(work: Path, out: Path) -> None:
    job = {
        "n": 5, "flank": 20, "targets": TARGETS, "windows": {"length": LENGTH, "shifts": [0]},
        "method": {"name": "deep_lift_shap", "references": {"kind": "shuffle", "n": 2}},
    }  # fmt: skip
    script("attribute_variants")(
        work / "variants.tsv", work / "alleles.tsv", work / "genome.fa", {"a": work / "weights.pt"},
        [out / f"top_variants.{ending}" for ending in ("h5", "tsv")], job,
        model={"loader": "trained"}, words=work / "known.meme", device="cpu",
    )  # fmt: skip


def evaluate_variants(work: Path, out: Path) -> None:
    made = [out / f"variant_{name}.tsv" for name in ("evaluation", "enrichment", "observed")]
    script("evaluate_variants")(
        work / "variants.tsv", work / "alleles.tsv", work / "genome.fa", made, targets=list(TARGETS),
        column="start", threshold=1000, motifs={"known": [work / "known.meme"]}, n_bootstrap=5, tracks={},
    )  # fmt: skip


def plant_model(work: Path, out: Path) -> None:
    script("plant_model")(
        str(work / "planted.meme"), str(out / "model.pt"), assays={"a": {"words": ["ctcf"]}}
    )


def prepare_insertions(work: Path, out: Path) -> None:
    from cislex.insertions.backgrounds import BackgroundSettings
    from cislex.insertions.constructs import GridSettings
    from cislex.insertions.prepare import prepare_insertions

    prepare_insertions(
        work / "sequences.h5", out / "plan.h5", out / "inserts.tsv",
        strings={"a": "TGACTCA", "b": "CCGGAAGT"},
        grid=GridSettings(pairs="all", distances=range(10, 60, 2)), backgrounds=BackgroundSettings(n=60),
    )  # fmt: skip


def insert_chunk(work: Path, out: Path) -> None:
    from cislex.insertions.chunk import InsertionJob, insert_chunk

    job = InsertionJob(chunk=0, chunks=1, fold="a", targets=TARGETS)
    insert_chunk(
        work / "plan.h5",
        work / "weights.pt",
        out / "inserted.h5",
        job,
        model={"loader": "trained"},
        device="cpu",
    )


def insert_motifs(work: Path, out: Path) -> None:
    from cislex.insertions.insert import insert_motifs

    made = [out / f"{name}.tsv" for name in ("insertions", "contexts", "sites_moved")]
    insert_motifs(work / "plan.h5", {"a": [work / "inserted.h5"]}, *made, wanted=TARGETS)


def evolve_sequences(work: Path, out: Path) -> None:
    job = {
        "length": LENGTH, "targets": TARGETS, "guide": {"name": "tism"}, "rounds": 3,
        "start": {"kind": "random", "n": 40},
    }  # fmt: skip
    script("evolve_sequences")(
        {"a": work / "weights.pt"}, {},
        {"table": out / "evolved.tsv", "fasta": out / "evolved.fa", "arrays": out / "evolved.h5"}, job,
        model={"loader": "trained"}, device="cpu",
    )  # fmt: skip


def measure_faithfulness(work: Path, out: Path) -> None:
    target = {"first": TARGETS["first"]}
    script("measure_faithfulness")(
        work / "sequences.h5", {"first": work / "attributions.h5"}, {"a": work / "weights.pt"},
        {name: out / f"{name}.tsv" for name in ("faithfulness", "curves", "words")},
        job={"chunks": 1, "targets": target, "method": METHOD}, settings={"n": 10, "steps": 40, "draws": 1},
        model={"loader": "trained"}, device="cpu",
    )  # fmt: skip


def compare_methods(work: Path, out: Path) -> None:
    names = {"comparison": "pairs.tsv", "regions": "compared.tsv.gz", "methods": "methods.tsv"}
    names |= {"curves": "all_curves.tsv", "words": "all_words.tsv", "logos": "logos.tsv"}
    paths = {"first": work / "attributions.h5"}
    analyses = [(str(raw), paths, raw, {"method": "x"}, work, None) for raw in (False, True)]
    script("compare_methods")(analyses, {key: out / name for key, name in names.items()})


def contrast_hits(work: Path, out: Path) -> None:
    sides = [{"analysis": name, "target": "t", "attributions": work / "attributions.h5"} for name in "ab"]
    files = {name: out / f"contrast_{name}.tsv" for name in ("words", "sides")}
    files["hits"] = out / "contrast_hits.tsv.gz"
    script("contrast_hits")(work / "hits.bed.gz", *sides, files, hits_of="first", scale="hits")


#: Each stage by name.
STAGES: dict[str, Callable[[Path, Path], None]] = {
    stage.__name__: stage
    for stage in (
        index_genome, extract_regions, encode_sequences, import_sequences, predict_regions, attribute_chunk,
        choose_windows, aggregate_chunks, export_tracks, export_layouts, export_browser,
        find_motifs, annotate_motifs, call_hits,
        analyse_syntax,
        combine_lexicon, summarise_usage, call_seqlets, simulate_genome, plant_model, compare_grammar,
        prepare_variants, score_variants, combine_variants, attribute_variants, evaluate_variants,
        prepare_insertions, insert_chunk, insert_motifs, evolve_sequences,
        measure_faithfulness, compare_methods, contrast_hits,
        *TABLE_STAGES,
    )
}  # fmt: skip
#: What makes inputs that no stage makes.
MAKERS = {"make_chunk": make_chunk, "make_patterns": make_patterns, "make_tables": make_tables}
