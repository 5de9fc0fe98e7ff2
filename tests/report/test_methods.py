"""The report's section on methods: what a run did, and only the papers that it used."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import report_fixture as fixture
from cislex.motifs.files import MemeMotif, write_meme
from cislex.provenance import to_attributes
from cislex.report import AnalysisTarget, InsertionTables, RegionSet, render_report
from cislex.report.sections.methods import MethodsView, describe_methods
from cislex.report.sections.methods_sentences import attribution_words, model_words, region_words
from cislex.report.sections.motifs import describe_motifs
from cislex.report.sections.references import LIBRARY, Bibliography
from cislex.report.specs import VariantTables

TEMPLATE = Path(__file__).resolve().parents[2] / "scripts" / "cislex" / "report" / "report.html.j2"
MODISCO = {
    "max_seqlets": 2000, "window": None, "seed": 3, "n_leiden_runs": 2, "sliding_window_size": 20,
    "flank_size": 5, "target_seqlet_fdr": 0.05, "min_metacluster_size": 100, "final_min_cluster_size": 20,
}  # fmt: skip
TRAINING = {
    "architecture": "cnn", "hyperparameters": {"filters": 32}, "epochs": 12, "batch_size": 64,
    "learning_rate": 0.005, "weight_decay": 1e-4, "reverse_complement": True, "seed": 7,
    "tasks": {"reb1": "Reb1.bed"}, "negatives": {"kind": "gc_matched"}, "negatives_per_positive": 2,
    "validation_chromosomes": ["chrVII"], "test_chromosomes": ["chrIV", "chrXI"],
}  # fmt: skip
MODEL = {"loader": "trained", "input_length": 200, "folds": ["fold_0"], "training": TRAINING}


@pytest.fixture
def target(tmp_path: Path) -> AnalysisTarget:
    """Return a target with attributions, TF-MoDISco's file and a database."""
    fixture.write_attributions(tmp_path / "reb1" / "attributions.h5", fixture.make_regions(30), deltas=True)
    with h5py.File(tmp_path / "reb1" / "attributions.h5", "a") as handle:
        facts = {"max_relative_delta_limit": 1e-3, "on_fail": "drop", "n_over_limit": 2, "n_regions": 1030}
        handle.attrs.update(to_attributes({**facts, "source_digest": "feed5eed", "target_settings": {}}))
    with h5py.File(tmp_path / "modisco.h5", "w") as handle:
        handle.attrs.update(to_attributes({"settings": MODISCO, "versions": {"modisco-lite": "3.0.0"}}))
    write_meme([MemeMotif("MA0363.3", "REB1", np.full((4, 8), 0.25), 20)], tmp_path / "known.meme")
    fixture.write_motifs(tmp_path, [fixture.motif("pos_0", "+", 90, "TTACCCGG", **fixture.REB1)])
    motifs = {"trim_threshold": 0.3, "min_information": 0.5, "max_width": 40}
    return AnalysisTarget(
        analysis="peaks", target="reb1", region_set="peaks", model="yeast", motifs=tmp_path / "motifs.tsv",
        attributions=tmp_path / "reb1" / "attributions.h5", modisco=tmp_path / "modisco.h5",
        databases={"jaspar-fungi.JASPAR2026": tmp_path / "known.meme"},
        settings={"motifs": motifs, "hits": None},
    )  # fmt: skip


def test_a_chosen_number_of_references_is_told_with_its_reason(
    target: AnalysisTarget, tmp_path: Path
) -> None:
    (tmp_path / "i.tsv").write_text(
        "fold\tsection\tname\tvalue\tdetail\nf\treferences\tnumber\t7\tthe fewest of all\n"
    )
    said = "Number of references: 7, the fewest of all."
    for n in (20, "auto"):
        settings = {**target.settings, "method": {"references": {"n": n}}}
        told = dataclasses.replace(target, inspection=tmp_path / "i.tsv", settings=settings)
        assert described(told)[1].count(said) == (n == "auto")


def described(*targets: AnalysisTarget) -> tuple[MethodsView, str]:
    """Return the section of these targets, and its text."""
    regions = [(RegionSet(name="peaks", settings={"center": "summit", "deduplicate": "exact"}), 1040, 1030)]
    view = describe_methods(
        targets,
        regions=regions,
        models={"yeast": MODEL},
        settings={"genome": "sacCer3.fa", "seed": 11, "sources": ["Reb1.bed from https://x.org/Reb1.bed"]},
    )
    return view, " ".join(text for _, text in view.paragraphs)


def test_methods_tell_what_the_files_record(target: AnalysisTarget) -> None:
    view, text = described(target)
    assert [head for head, _ in view.paragraphs] == [
        "Sequences", "Models", "Evaluation", "Attributions", "Motifs", "Software and reproducibility",
        "Public data",
    ]  # fmt: skip
    for said in (
        "genome sacCer3.fa", "Reb1.bed from https://x.org/Reb1.bed.",
        "peaks (1,030 of 1,040 rows): windows centred on the summits of the peaks",
        "convolutional network (cnn), filters 32, input 200 bp, 1 fold (fold_0)", "trained for 12 epochs",
        "weight decay 0.0001", "2 GC-matched negatives per positive", "Test chromosomes: chrIV, chrXI",
        "fold_0 b4b147bc522828731f1a016bfa72c073", "the Rescale rule", "against 20 dinucleotide-preserving",
        "in float32; seed 0", "by more than 0.001 of it were dropped (2 of 1,030).", "tfmodisco-lite 3.0.0",
        "at most 2,000 seqlets", "all bases of each region", "and seed 3", "at least 0.3 of the largest",
        "the 1 motif of JASPAR2026 CORE (fungi; Ovek Baydar et al., 2026)", "cislex 0.1.0",
        "PyTorch 2.13.0", "Random seed: 11", "(BLAKE2b-128): feed5eed",
    ):  # fmt: skip
        assert said in text


def test_several_databases_are_all_named(target: AnalysisTarget) -> None:
    known = target.databases["jaspar-fungi.JASPAR2026"]
    several = dataclasses.replace(target, databases={**target.databases, "meme-mine-too.0a1b2c3d": known})
    _, text = described(several)
    assert "(fungi; Ovek Baydar et al., 2026) and the 1 motif of mine-too with TOMTOM" in text
    assert "each database with its own q-values (q-values of JASPAR2026 fungi and mine-too from sh" in text
    table = pd.read_csv(target.motifs, sep="\t", keep_default_na=False)
    table.assign(match_1_database="meme-mine-too.0a1b2c3d", match_1_null="shuffled").to_csv(
        target.motifs, sep="\t", index=False
    )
    for spec, source in ((several, "mine-too"), (target, "")):
        (motif,) = describe_motifs(spec)
        assert (motif.matches[0].source, motif.matches[0].null) == (source, "shuffled")


def test_negatives_for_training_alone_and_the_kept_epoch_are_told() -> None:
    training = {**TRAINING, "train_negatives_per_positive": 6, "keep_epoch": "auprc"}
    text = model_words("yeast", {**MODEL, "training": training}, Bibliography())
    assert "6 GC-matched negatives per positive (2 for validation and test)." in text
    assert "The epoch with the highest mean AUPRC on the validation windows was kept." in text
    same = model_words("yeast", MODEL, Bibliography())
    assert "2 GC-matched negatives per positive. Validation" in same


def test_experiments_and_variants_are_told_with_their_settings(target: AnalysisTarget) -> None:
    given = {
        "backgrounds": {"kind": "shuffled", "n": 30}, "form": "consensus", "seed": 4, "pairs": "all",
        "spacings": {"from": 14, "to": 50, "step": 4}, "orientations": ["++", "+-"],
        "sites": {"n": 50, "contexts": 5, "ablation": "shuffle"},
    }  # fmt: skip
    scored = {"anchor": "both", "shifts": [-4, 0, 4], "null": 10000, "top": {"n": 20}, "observed": "lfc"}
    experiment = InsertionTables(name="i", analysis="a", insertions="i.tsv", contexts="c.tsv", settings=given)
    tables = VariantTables("v", "a", ["t"], "s.tsv", "d.tsv", "v.vcf.gz", settings=scored)
    view = describe_methods(
        [target], regions=[], models={}, settings={}, insertions=[experiment], variants=[tables]
    )
    told = dict(view.paragraphs)
    for said in (
        "analysis a: 30 dinucleotide shuffles of the regions, seed 4; motifs were inserted as consensus",
        "14 to 50 bp apart (centre to centre) in steps of 4 bp, in the orientations ++ and +-,",
        "Up to 50 sites of each word were replaced in their own sequences by a shuffle of its own bases",
        "put into 5 backgrounds each", "sign-flip tests", "Benjamini and Hochberg",
    ):  # fmt: skip
        assert said in told["In-silico experiments"]
    for said in (
        "averages of keeping their left and their right side in place",
        "averaged over windows moved by -4, 0 and 4 bp", "10,000 dinucleotide-shuffled contexts",
        "The 20 strongest", "measurements in the column lfc",
    ):  # fmt: skip
        assert said in told["Variants"]
    plain = dataclasses.replace(tables, settings={"anchor": "left", "shifts": [0], "null": 0})
    [(_, text)] = [
        part
        for part in describe_methods(
            [target], regions=[], models={}, settings={}, variants=[plain]
        ).paragraphs
        if part[0] == "Variants"
    ]
    assert text.endswith("The model of analysis a: indels with their left side kept in place.")


@pytest.mark.parametrize("has_lexicon", [True, False])
def test_composites_are_those_that_the_page_calls_so(target: AnalysisTarget, has_lexicon: bool) -> None:
    view = describe_methods([target], regions=[], models={}, settings={}, has_lexicon=has_lexicon)
    text = dict(view.paragraphs)["Motifs"]
    assert ("merged into one lexicon of words" in text, "bp and by half" in text) == (
        has_lexicon,
        not has_lexicon,
    )


def test_evaluation_is_told_where_there_is_one(target: AnalysisTarget) -> None:
    labelled = dataclasses.replace(target, evaluation=target.motifs, observed=target.motifs)
    assert (
        "labels of held-out windows and with observations in the regions (peaks / reb1);"
        in (described(labelled)[1])
    )
    label = {"column": "signal_value", "transform": "log1p"}
    other = dataclasses.replace(labelled, target="abf1", labels=label, peaks="data/my.narrowPeak")
    assert (
        "(peaks / reb1; peaks / abf1: signal_value of my.narrowPeak, as log(1 + value));"
        in described(labelled, other)[1]
    )
    given = describe_methods([target], regions=[], models={}, settings={})
    assert "Evaluation" not in dict(given.paragraphs)


def test_targets_done_alike_are_told_together(target: AnalysisTarget) -> None:
    _, text = described(target, dataclasses.replace(target, target="abf1"))
    assert text.count("DeepSHAP") == 1
    assert "Targets peaks / reb1 (output 0) and peaks / abf1 (output 0)" in text
    assert "(4 of 2,060)" in text, "the gate's counts are summed"


def test_a_gate_that_stops_the_run_says_that_no_region_failed(target: AnalysisTarget) -> None:
    assert target.attributions is not None
    with h5py.File(target.attributions, "r+") as handle:
        handle.attrs["on_fail"], handle.attrs["n_over_limit"] = "error", 0
    assert "of it would have stopped the run (none did)." in described(target)[1]


def test_only_papers_that_were_used_are_cited(target: AnalysisTarget) -> None:
    view, text = described(target)
    keys = re.findall(r"^@\w+\{([^,]+),$", view.bibtex, flags=re.M)
    assert set(keys) == {
        "shrikumar2017deeplift", "lundberg2017shap", "altschul1985shuffle", "shrikumar2018modisco",
        "modiscolite", "traag2019leiden", "jaspar2026", "gupta2007tomtom", "cislex", "paszke2019pytorch",
    }  # fmt: skip
    assert len(view.references) == len(keys) == len(set(keys))
    assert "Fi-NeMo" not in text
    called = dataclasses.replace(target, hits=target.motifs, settings={"hits": {"alpha": 0.7}})
    assert "called with Fi-NeMo (Wang and Kundaje) with sparsity λ = 0.7." in described(called)[1]
    scan = {"method": "scan", "max_p": 1e-4, "database": "/data/known.meme", "alpha": 0.7}
    scanned = dataclasses.replace(target, target="b", hits=target.motifs, settings={"hits": scan})
    _, text = described(called, scanned)
    assert "Fi-NeMo" in text
    assert "Sites of the motifs of known.meme were found by scanning" in text
    assert "at p < 0.0001 against equal base frequencies" in text


@pytest.mark.parametrize(
    ("method", "said", "keys"),
    [
        ({"name": "tism"}, "Taylor in-silico", ["sasse2024tism"]),
        ({"name": "saliency"}, "gradients", ["simonyan2013saliency"]),
        ({"name": "ism", "start": 5, "end": 9}, "from bp 5 to 9", ["zhou2015deepsea"]),
        (
            {"name": "integrated_gradients", "quadrature": "adaptive", "steps": 8, "tolerance": 1e-3,
             "references": {"kind": "zeros"}},
            "8 steps at first, doubled until the tolerance of 0.001 is met, against the all-zero sequence",
            ["sundararajan2017ig"],
        ),
        (
            {"name": "expected_gradients", "references": {"kind": "genomic", "n": 7, "gc_tolerance": 0.02}},
            "against 7 other windows of the genome for each region, GC content within 0.02",
            ["erion2021expected"],
        ),
        (
            {"name": "deep_lift_shap", "rule": "reveal_cancel", "references": {"kind": "uniform",
             "frequencies": [0.3, 0.2, 0.2, 0.3]}},
            "the RevealCancel rule, as in DeepSHAP (Lundberg and Lee, 2017), against base frequencies of 0.3",
            ["shrikumar2017deeplift", "lundberg2017shap"],
        ),
    ],
)  # fmt: skip
def test_each_method_is_told_with_its_paper(method: dict, said: str, keys: list[str]) -> None:
    cited = Bibliography()
    text = attribution_words({"method": method, "max_relative_delta_limit": 1e-3}, {}, cited)
    assert said in text
    assert [key for key in cited.keys if key != "majdandzic2023correction"] == keys
    gated = method["name"] in ("integrated_gradients", "deep_lift_shap")
    assert ("were flagged" in text) == gated


def test_folds_and_strands_are_told() -> None:
    given = {"method": {"name": "tism"}, "folds": ["a", "b"]}
    mean = attribution_words(given, {"same_references": True, "reverse_complement": True}, Bibliography())
    assert "average prediction of both strands" in mean
    assert "Attributions of 2 folds, with the same references, were averaged." in mean
    held = attribution_words(given, {"fold_use": "held_out"}, Bibliography())
    assert "the fold that held out its chromosome" in held


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"attributions": {"window": 2000, "keep": None}},
            "of the central 2,000 bp of each region were stored.",
        ),
        (
            {"attributions": {"window": [0, 5000], "keep": None}},
            "Attributions of bp 0 to 5,000 of each region",
        ),
        ({"attributions": {"window": None, "keep": 50}}, "Only the 50 largest contributions of each region"),
        (
            {"screen": {"analysis": "quick", "width": 500, "top": 3}},
            "of up to 3 windows of 500 bp of each region that hold the largest sums of absolute",
        ),
        (
            {"screen": {"analysis": "quick", "width": 500, "top": 1}},
            "of the window of 500 bp of each region that",
        ),
    ],
)
def test_what_is_stored_is_told(settings: dict, said: str) -> None:
    text = attribution_words({"method": {"name": "tism"}}, settings, Bibliography())
    assert said in text
    plain = {"attributions": {"window": None, "keep": None}, "screen": None}
    assert "stored" not in attribution_words({"method": {"name": "tism"}}, plain, Bibliography())


def test_models_and_regions_that_were_given() -> None:
    cited = Bibliography()
    told = model_words("m", {"loader": "chrombpnet", "input_length": 2114, "folds": ["f"]}, cited)
    assert told == (
        "Model m: pretrained, format chrombpnet (Pampari et al., 2024), input 2,114 bp, 1 fold (f)."
    )
    assert region_words({"fasta": "x.fa"}) == ": sequences given directly"
    assert region_words({}) == ""
    chosen = region_words({"center": "midpoint", "top": 5000, "order_by": "signal", "max_unknown": 0.1})
    assert chosen == (
        ": windows centred on the midpoints of the peaks, the 5,000 peaks with the largest signal, at most "
        "10 % unknown bases"
    )


@pytest.mark.parametrize("key", sorted(LIBRARY))
def test_every_reference_is_complete(key: str) -> None:
    cited = Bibliography()
    short = cited.cite(key)
    ((line, doi),) = cited.references
    assert line.startswith(short.rsplit(",", 1)[0])
    assert not re.search(r"[{}\\]|--", line)
    assert doi or "github.com" in line or key == "cislex"
    assert cited.bibtex.count("{") == cited.bibtex.count("}")
    assert cited.cite(key) == short
    assert len(cited.references) == 1, "cited twice, listed once"


def test_the_page_holds_text_references_and_bibtex(target: AnalysisTarget, tmp_path: Path) -> None:
    hostile = dataclasses.replace(target, model=fixture.HOSTILE)
    render_report(
        tmp_path / "r.html", title="t", results="r", analyses=[hostile], template=TEMPLATE,
        model_settings={fixture.HOSTILE: MODEL}, engine="snakemake",
    )  # fmt: skip
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    section = page[page.index('<section id="methods">') :]
    assert "<script>alert" not in page
    assert "Model &lt;script&gt;" in section
    assert "with Snakemake (Mölder et al., 2021)" in section
    assert "@inproceedings{shrikumar2017deeplift," in section
    assert "doi:10.48550/arXiv.1704.02685" in section
