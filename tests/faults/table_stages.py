"""The stages that write tables, weights and pages, for ``stages.py``: each with its inputs."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))


def script(name: str) -> Callable[..., None]:
    """The ``main`` of a rule's script."""
    main: Callable[..., None] = runpy.run_path(str(ROOT / "scripts" / f"{name}.py"))["main"]
    return main


def make_tables(work: Path, out: Path) -> None:
    """Tables and pages that stages read and none of them makes."""
    import numpy as np
    import pandas as pd
    import report_fixture
    from cislex.regions.extraction import read_regions_bed

    rng = np.random.default_rng(1)
    for label, p in (("skewed", (0.1, 0.4, 0.4, 0.1)), ("even", (0.25,) * 4)):
        (out / label).mkdir()
        letters = "".join(rng.choice(list("ACGT"), 12_000, p=p))
        (out / label / "sequence.fasta").write_text(f">{label}\n{letters}\n")
    report_fixture.write_results(out / "report")
    regions = read_regions_bed(work / "regions.bed")
    names = regions["name"]
    labels = pd.DataFrame({"name": names, "signal": rng.normal(size=len(names))})
    labels.to_csv(out / "labels.tsv", sep="\t", index=False)
    motif = {"motif": "M1", "name": "PLANTED", "assay": "a", "functional": True, "peak": names, "strand": "+"}
    sites = regions[["chrom", "start"]].assign(end=regions["start"] + 8, **motif)
    sites.to_csv(out / "sites.tsv", sep="\t", index=False)
    pd.DataFrame({"motif": ["M1"], "flagged": [""]}).to_csv(out / "motifs.tsv", sep="\t", index=False)


def train_model(work: Path, out: Path) -> None:
    script("train_model")(
        kind="labels",
        source={"labels": {x: work / x for x in ("skewed", "even")}, "input_length": 50,
                "hold_out": "blocks"},
        loss={"head": "softmax"}, optimisation={"epochs": 1}, architecture="cnn",
        hyperparameters={"filters": 4},
        n_bootstrap=5, weights=out / "m.pt", training=out / "m.training.tsv",
        evaluation=out / "m.evaluation.tsv", held_out=out / "m.held_out.tsv.gz",
    )  # fmt: skip


def score_baseline(work: Path, out: Path) -> None:
    script("score_baseline")(
        work / "m.held_out.tsv.gz", [work / "known.meme"], out / "baseline.tsv", n_bootstrap=5
    )


def compare_with_truth(work: Path, out: Path) -> None:
    script("compare_with_truth")(
        out=out / "truth.tsv", hits=None, threads=1, truth=work / "sites.tsv", planted=work / "known.meme",
        motifs=work / "motifs.tsv", meme=work / "known.meme", attributions=work / "attributions.h5",
        database=work / "known.meme",
    )  # fmt: skip


def evaluate_predictions(work: Path, out: Path) -> None:
    labels = {"first": {"table": work / "labels.tsv", "column": "signal"}}
    script("evaluate_predictions")(
        work / "predictions.tsv", work / "regions.bed", out / "observed.tsv", out / "evaluation.tsv",
        labels=labels, n_bootstrap=5,
    )  # fmt: skip


def gate_attributions(work: Path, out: Path) -> None:
    script("gate_attributions")(
        complete=work / "attributions.h5", out=out / "attributions.h5", qc=out / "qc.tsv",
        gate={"max_relative_delta": 3e-6, "on_fail": "drop"},
    )  # fmt: skip


def fetch_motif_database(work: Path, out: Path) -> None:
    script("fetch_motif_database")(str(work / "known.meme"), "JASPAR2024", out / "known.meme")


def fetch_resources(work: Path, out: Path) -> None:
    import hashlib

    source = work / "genome.fa"
    script("fetch_resources")(
        out / "fetched.fa", url=source.as_uri(), sha256=hashlib.sha256(source.read_bytes()).hexdigest()
    )


def snapshot_config(work: Path, out: Path) -> None:
    script("snapshot_config")({"regions": {f"set_{i}": "peaks.bed" for i in range(900)}}, out / "config.yaml")


def inspect_model(work: Path, out: Path) -> None:
    from stages import METHOD, TARGETS

    script("inspect_model")(
        {"a": work / "weights.pt"}, out / "inspection.tsv", out / "inspection.txt", out / "passed",
        length=256, wanted=TARGETS, method=METHOD, model={"loader": "trained"}, device="cpu", batch_size=8,
        references=out / "references.json",
    )  # fmt: skip


def estimate_cost(work: Path, out: Path) -> None:
    stored = {"length": 256}
    plan = {"regions": "set", "method": {"name": "saliency"}, "targets": 2, "seqlets": 2000, "stored": stored}
    source = {
        "extracted": work / "regions.bed", "source": work / "peaks.bed", "kind": "peaks", "dataset": None,
        "limit": None, "length": 256, "chunks": 1,
    }  # fmt: skip
    script("estimate_cost")(
        {"a": plan}, {"set": source},
        {"a": work / "inspection.tsv"}, out / "cost.tsv", out / "cost.txt", predicted={}, job_minutes=30,
    )  # fmt: skip


def render_report(work: Path, out: Path) -> None:
    import report_fixture
    from cislex.report import RegionSet, render_report

    root = work / "report"
    render_report(
        out / "report.html", title="t", results="r", analyses=report_fixture.analyses(root),
        regions=[RegionSet(name="peaks", regions=root / "regions/peaks/regions.bed",
                           dropped=root / "regions/peaks/dropped.tsv")],
    )  # fmt: skip


def verify_results(work: Path, out: Path) -> None:
    folder, table = work / "report", out / "verification.tsv"
    script("verify_results")(folder=str(folder), out=str(table), threads=1, options={})


#: In an order in which each finds what it reads.
TABLE_STAGES = (
    fetch_motif_database, fetch_resources, snapshot_config, inspect_model, estimate_cost, train_model,
    score_baseline, compare_with_truth, evaluate_predictions, gate_attributions, render_report,
    verify_results,
)  # fmt: skip
