"""The workflow on sequences given directly: two folds, two targets, two methods, several chunks."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pysam
import pytest
import torch
import yaml
from cislex.motifs.seqlets import read_seqlets
from small_project import write_project

sys.path.insert(0, str(Path(__file__).parent))
from conftest import ROOT, Run, command, planned

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sequences in which one motif is planted, and a model that looks for it; one analysis has hits.

    At these hits its target is contrasted with the other target, for which the model looks for another motif.
    """
    folder = write_project(tmp_path_factory.mktemp("small"))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["analyses"]["gradient"]["hits"] = {}
    second = {"analysis": "shap", "target": "b"}
    config["contrasts"] = {"targets": {"first": {"analysis": "gradient"}, "second": second, "scale": "hits"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture(scope="session")
def whole_run(project: Path, snakemake: Run) -> str:
    """What the run shows on the terminal."""
    return snakemake("--configfile", "config.yaml", folder=project).stdout


@pytest.fixture(scope="session")
def finished(project: Path, whole_run: str) -> Path:
    return project


def arrays(folder: Path, analysis: str = "shap", target: str = "a") -> dict[str, Any]:
    with h5py.File(folder / "results" / analysis / target / "attributions.h5") as handle:
        return {name: handle[name][:] for name in ("hypothetical", "prediction", "rows")}


def test_a_dry_run_shows_the_whole_plan_before_any_input_of_a_later_stage_exists(
    project: Path, snakemake: Run
) -> None:
    plan = planned(snakemake("--configfile", "config.yaml", "--dry-run", "--forceall", folder=project).stdout)
    assert plan["attribute_chunk"] == 2 * 2 * 4
    assert plan["aggregate_chunks"] == plan["gate_attributions"] == 3
    assert plan["render_report"] == plan["combine_lexicon"] == plan["summarise_usage"] == 1
    assert plan["call_seqlets"] == 1


def test_without_motifs_and_genome_the_plan_holds_neither(project: Path, snakemake: Run) -> None:
    config = yaml.safe_load((project / "config.yaml").read_text())
    del config["genome"], config["contrasts"]
    for analysis in config["analyses"].values():
        analysis["motifs"] = analysis["hits"] = None
    (project / "bare.yaml").write_text(yaml.safe_dump(config))
    options = ("--configfile", "bare.yaml", "--dry-run", "--forceall")
    plan = planned(snakemake(*options, folder=project).stdout)
    assert plan["aggregate_chunks"] == plan["gate_attributions"] == 3
    assert not plan.keys() & {
        "find_motifs", "annotate_motifs", "call_hits", "combine_lexicon", "summarise_usage",
        "analyse_syntax",
    }  # fmt: skip
    assert plan["call_seqlets"] == plan["fetch_motif_database"] == 1, "seqlets need no motifs"
    wanted = snakemake("results/shap/a/modisco.h5", *options, folder=project, check=False).stdout
    assert "No rule to produce" in wanted or "MissingRuleException" in wanted


def test_the_terminal_has_a_line_per_job_and_ends_with_what_was_found(whole_run: str) -> None:
    jobs = sum(planned(whole_run).values()) - 1  # without `all`
    lines = re.findall(
        r"^\d\d:\d\d:\d\d +\d+ of \d+  .+, \d+ (?:s|min)(?:, about .+ left)?$", whole_run, re.M
    )
    assert len(lines) == jobs
    assert len(whole_run.splitlines()) < 2 * jobs
    assert re.search(
        r"^  shap / a +300 regions, largest relative delta at most 1.0e-04; \d words: ", whole_run, re.M
    )
    assert "\nReport: results/report.html\nFinished in" in whole_run


def test_the_terminal_names_what_was_made_where_files_are_asked_for(project: Path, snakemake: Run) -> None:
    options = ("--configfile", "config.yaml", "--config", "results=few")
    said = snakemake("few/config.yaml", "few/regions/mine/sequences.h5", *options, folder=project).stdout
    assert re.search(r"^Made: .*few/regions/mine/sequences\.h5", said, re.M)
    assert "Made: sequences.fa" not in said


def test_the_report_names_the_planted_motif(finished: Path) -> None:
    page = (finished / "results" / "report.html").read_text()
    assert "PLANTED" in page
    motifs = (finished / "results" / "shap" / "a" / "motifs.tsv").read_text()
    assert "M1" in motifs


def test_a_check_reads_every_file_again_also_where_results_were_copied_to(
    finished: Path, snakemake: Run, tmp_path: Path
) -> None:
    """Without the inputs, in another folder, and without what Snakemake remembers."""
    copy = Path(shutil.copytree(finished / "results", tmp_path / "copy"))
    options = ("--configfile", "copy/config.yaml", "--config", "results=copy", "--forcerun", "verify_results")
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    said = snakemake(*options, "--", "check", folder=tmp_path).stdout
    assert re.search(r"files, .*, 0 with faults, \d+ not checked", said)
    assert "not checked: fold_0.pt is not there" in said
    table = pd.read_csv(copy / "verification.tsv", sep="\t")
    assert set(table["kind"]) >= {"attributions", "hits", "lexicon", "report", "contrasted hits", "folder"}
    assert not (table["kind"] == "unknown").any()
    new = {path for path in copy.rglob("*") if path.is_file()} - before.keys()
    assert {path.relative_to(copy).parts[0] for path in new} == {"verification.tsv", "logs", "benchmarks"}
    assert {path: path.read_bytes() for path in before} == before
    hits = copy / "gradient" / "a" / "hits.bed.gz"
    hits.write_bytes(hits.read_bytes()[:-40])
    done = snakemake(*options, "--", "check", folder=tmp_path, check=False)
    assert done.returncode != 0
    assert re.search(
        r"^  gradient/a/hits\.bed\.gz: its bytes are not those that its job wrote", done.stdout, re.M
    )
    assert "Traceback" not in done.stdout


def test_hits_are_called_with_the_words_of_the_lexicon_and_counted(finished: Path) -> None:
    lexicon, usage = (
        pd.read_csv(finished / f"results/lexicon/{name}.tsv", sep="\t") for name in ("lexicon", "usage")
    )
    hits = pd.read_csv(finished / "results/gradient/a/hits.bed.gz", sep="\t")
    assert len(hits) > 100
    assert set(hits["word"]) <= set(lexicon["word"])
    own = usage[usage["analysis"] == "gradient"].set_index("word")["n_hits"]
    assert own[own > 0].to_dict() == hits["word"].value_counts().to_dict()
    assert usage.loc[usage["analysis"] == "shap", "n_hits"].isna().all()
    with pysam.TabixFile(str(finished / "results/gradient/a/hits.bed.gz")) as indexed:
        name = hits["#chrom"].iloc[0]
        assert len(list(indexed.fetch(name))) == (hits["#chrom"] == name).sum()


def test_targets_are_contrasted_at_the_hits_of_one(finished: Path) -> None:
    folder = finished / "results" / "contrasts" / "targets"
    hits, called = (
        pd.read_csv(path, sep="\t")
        for path in (folder / "hits.tsv.gz", finished / "results/gradient/a/hits.bed.gz")
    )
    sides = pd.read_csv(folder / "sides.tsv", sep="\t").set_index("side")
    assert len(hits) == len(called)
    for theirs, own in (("#chrom", "chrom"), ("start", "start"), ("motif", "name"), ("strand", "strand")):
        assert (called[theirs] == hits[own]).all()
    np.testing.assert_allclose(hits["first"] * sides.loc["first", "scale"], called["contribution"], rtol=1e-4)
    assert sides["folds"].tolist() == [2, 2]
    assert hits["p"].between(0, 1).all()
    words = pd.read_csv(folder / "words.tsv", sep="\t")
    assert words["hits"].sum() == len(hits)
    assert words["q"].min() < 0.05
    assert '<section id="contrasts">' in (finished / "results" / "report.html").read_text()


def test_seqlets_are_called_named_and_told(finished: Path) -> None:
    table = read_seqlets(finished / "results" / "gradient" / "a" / "seqlets.tsv.gz")
    assert len(table)
    assert table["match"].ne("").all()
    assert set(table["null"]) == {"shuffled"}, "the database and the lexicon hold few motifs"
    page = (finished / "results" / "report.html").read_text()
    assert "Seqlets of single regions" in page
    assert "recursive_seqlets of tangermeme" in page


def test_a_second_run_does_nothing(finished: Path, snakemake: Run) -> None:
    assert "Nothing to be done" in snakemake("--configfile", "config.yaml", folder=finished).stdout


def test_the_order_of_analyses_makes_no_lexicon_and_no_hits_again(finished: Path, snakemake: Run) -> None:
    config = yaml.safe_load((finished / "config.yaml").read_text())
    config["analyses"] = dict(reversed(config["analyses"].items()))
    (finished / "turned.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    done = snakemake("--configfile", "turned.yaml", "--dry-run", folder=finished).stdout
    assert "Nothing to be done" in done or planned(done).keys() <= {"render_report", "snapshot_config", "all"}


def test_a_changed_parameter_reruns_only_what_depends_on_it(finished: Path, snakemake: Run) -> None:
    config = yaml.safe_load((finished / "config.yaml").read_text())
    motifs = config["analyses"]["shap"]["motifs"]
    config["analyses"]["shap"]["motifs"] = {**motifs, "max_seqlets": 400}
    (finished / "changed.yaml").write_text(yaml.safe_dump(config))
    plan = planned(snakemake("--configfile", "changed.yaml", "--dry-run", folder=finished).stdout)
    assert plan.pop("find_motifs") == 2
    assert set(plan) <= {
        "annotate_motifs", "call_hits", "combine_lexicon", "summarise_usage", "analyse_syntax",
        "call_seqlets", "contrast_hits", "render_report", "snapshot_config", "all",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"method": {"references": {"n": 5}}}, {"attribute_chunk": 8, "aggregate_chunks": 2}),
        ({"reverse_complement": True}, {"attribute_chunk": 8, "aggregate_chunks": 2}),
        ({"folds": ["fold_1"]}, {"predict_regions": 1, "attribute_chunk": 4, "aggregate_chunks": 2}),
        (
            {"qc": {"max_relative_delta": 0.02}},
            {"inspect_model": 0, "attribute_chunk": 0, "aggregate_chunks": 0, "gate_attributions": 2},
        ),
        ({"qc": {"on_fail": "drop"}}, {"attribute_chunk": 0, "aggregate_chunks": 0, "gate_attributions": 2}),
        ({"motifs": {"max_seqlets": 400}}, {"attribute_chunk": 0, "aggregate_chunks": 0}),
    ],
)  # fmt: skip
def test_a_changed_attribution_runs_again_although_its_chunks_are_gone(
    finished: Path, snakemake: Run, change: dict[str, Any], again: dict[str, int]
) -> None:
    config = yaml.safe_load((finished / "config.yaml").read_text())
    analysis = config["analyses"]["shap"]
    analysis |= {
        key: {**analysis[key], **value} if isinstance(value, dict) else value for key, value in change.items()
    }
    (finished / "changed.yaml").write_text(yaml.safe_dump(config))
    plan = planned(snakemake("--configfile", "changed.yaml", "--dry-run", folder=finished).stdout)
    assert {rule: plan.get(rule, 0) for rule in again} == again
    assert plan["find_motifs"] == 2, "of the other analysis nothing changed"


def test_changed_weights_run_everything_again_and_new_timings_nothing(finished: Path, snakemake: Run) -> None:
    weights = finished / "fold_0.pt"
    before = weights.read_bytes()
    state = torch.load(weights)
    state["4.bias"] += 1
    torch.save(state, weights)
    plan = planned(snakemake("--configfile", "config.yaml", "--dry-run", folder=finished).stdout)
    weights.write_bytes(before)
    assert plan["attribute_chunk"] == 16
    for name in ("shap", "gradient"):
        table = finished / "results" / name / "inspection.tsv"
        table.write_text(table.read_text() + "fold_0\tcost\tother\t1\t\n")
    plan = planned(snakemake("--configfile", "config.yaml", "--dry-run", folder=finished).stdout)
    assert "attribute_chunk" not in plan
    snakemake("--configfile", "config.yaml", "--touch", folder=finished)


def test_an_edited_file_beside_the_model_runs_again_what_the_model_is_loaded_for(
    tmp_path: Path, snakemake: Run
) -> None:
    folder = write_project(tmp_path)
    model = (folder / "model.py").read_text()
    (folder / "layers.py").write_text(model)
    (folder / "model.py").write_text("from layers import build\n")
    wanted = ("results/shap/predictions.tsv", "--configfile", "config.yaml")
    snakemake(*wanted, folder=folder)
    assert "Nothing to be done" in snakemake(*wanted, "--dry-run", folder=folder).stdout
    (folder / "layers.py").write_text(model + "\n\nWIDTH = 8\n")
    assert planned(snakemake(*wanted, "--dry-run", folder=folder).stdout)["predict_regions"] == 1


#: An edit of the package, and the rules that run again; chunks of both analyses, of one, or none.
EDITS = [
    (None, "", set(), 0),
    ("attribution/deeplift/pooling.py", "# a comment\n", set(), 0),
    ("report/page.py", "ADDED = 1\n", {"render_report"}, 0),
    ("attribution/reference_convergence.py", "ADDED = 1\n", set(), 0),
    ("attribution/gradients/integrated.py", "ADDED = 1\n", set(), 0),
    (
        "attribution/deeplift/deeplift.py",
        "ADDED = 1\n",
        {"attribute_chunk", "find_motifs", "render_report"},
        8,
    ),
    ("attribution/pipeline.py", "ADDED = 1\n", {"attribute_chunk", "find_motifs", "render_report"}, 16),
]


@pytest.mark.parametrize(("edited", "added", "rules", "chunks"), EDITS)
def test_edited_code_reruns_what_it_can_change_and_a_fresh_copy_nothing(
    finished: Path, tmp_path: Path, edited: str | None, added: str, rules: set[str], chunks: int
) -> None:
    for name in ("Snakefile", "workflow", "scripts", "config", "profiles", "envs", "resources"):
        if (ROOT / name).is_dir():  # compiled files may come and go meanwhile
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    if edited:
        source = tmp_path / "scripts" / "cislex" / edited
        source.write_text(source.read_text() + added)
    arguments = command("--configfile", "config.yaml", "--dry-run", folder=finished)
    arguments[arguments.index("--snakefile") + 1] = str(tmp_path / "Snakefile")
    done = subprocess.run(arguments, cwd=finished, capture_output=True, text=True, check=True)
    plan = planned(done.stdout + done.stderr)
    assert plan.get("attribute_chunk", 0) == chunks
    assert rules <= set(plan)
    assert rules or not plan, done.stdout + done.stderr
    assert "predict_regions" not in plan


def test_the_snapshot_reruns_the_analysis(finished: Path, snakemake: Run) -> None:
    output = snakemake("--configfile", "results/config.yaml", "--dry-run", folder=finished).stdout
    assert "Nothing to be done" in output


def test_the_run_is_recorded(finished: Path) -> None:
    path = min((finished / "results" / "runs").glob("*.yaml"))
    record = yaml.safe_load(path.read_text())
    assert record["command"].endswith("--configfile config.yaml")
    assert record["config"] == yaml.safe_load((finished / "results" / "config.yaml").read_text())
    assert record["inputs"]["models.net.folds.fold_1"]["bytes"] == (finished / "fold_1.pt").stat().st_size
    assert record["versions"]["torch"] == torch.__version__


def test_a_touched_result_and_a_forced_rule_are_handled(finished: Path, snakemake: Run) -> None:
    plan = planned(
        snakemake(
            "--configfile", "config.yaml", "--dry-run", "--forcerun", "render_report", folder=finished
        ).stdout
    )
    assert plan["render_report"] == 1
    assert "attribute_chunk" not in plan
    snakemake("--configfile", "config.yaml", "--touch", folder=finished)
    assert "Nothing to be done" in snakemake("--configfile", "config.yaml", folder=finished).stdout


def test_the_other_entrance_is_a_module_of_another_workflow(finished: Path, tmp_path: Path) -> None:
    for name in ("sequences.fa", "model.py", "fold_0.pt", "fold_1.pt", "known.meme", "config.yaml"):
        shutil.copy(finished / name, tmp_path)
    (tmp_path / "Snakefile").write_text(
        f'configfile: "config.yaml"\n\n\nmodule cislex:\n    snakefile: "{ROOT / "Snakefile"}"\n'
        "    config: config\n\n\nuse rule * from cislex as cislex_*\n\n\n"
        'rule all:\n    default_target: True\n    input:\n        "results/report.html",\n'
    )
    done = subprocess.run(
        [*command(folder=tmp_path)[:1], "--directory", str(tmp_path), "--cores", "2", "--dry-run",
         "--snakefile", str(tmp_path / "Snakefile")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert planned(done.stdout + done.stderr)["cislex_attribute_chunk"] == 16


def test_a_killed_run_with_as_many_references_as_it_chooses_resumes_with_the_same_result(
    finished: Path, tmp_path: Path, snakemake: Run
) -> None:
    for path in finished.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    # Out of reach, so that it is as many as the finished run has.
    config["analyses"]["shap"]["method"]["references"] = {"n": "auto", "sufficiency": 0.9999, "most": 4}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    goals = ["results/shap/a/attributions.h5", "--configfile", "config.yaml"]
    process = subprocess.Popen(
        command(*goals, folder=tmp_path, cores=1), cwd=tmp_path, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    chunks = tmp_path / "results" / "shap" / "chunks"
    deadline = time.monotonic() + 240
    while len(list(chunks.rglob("[0-9]*.h5"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    complete = sorted(chunks.rglob("[0-9]*.h5"))
    assert len(complete) >= 2, "the run was killed before two chunks were complete"
    assert not (tmp_path / "results" / "shap" / "a" / "attributions.h5").exists()
    snakemake("--unlock", *goals, folder=tmp_path)
    snakemake(*goals, folder=tmp_path)
    for name, values in arrays(finished).items():
        np.testing.assert_allclose(arrays(tmp_path)[name], values, rtol=0, atol=1e-6)
    assert json.loads((tmp_path / "results/shap/references.json").read_text()) == {"n": 4}
    with h5py.File(tmp_path / "results/shap/a/attributions.h5") as handle:
        assert json.loads(handle.attrs["method"])["references"]["n"] == 4
    config["analyses"]["shap"]["method"]["references"]["sufficiency"] = 0.99999
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    snakemake("results/shap/references.json", "--configfile", "config.yaml", folder=tmp_path)
    plan = snakemake(*goals, "--dry-run", folder=tmp_path).stdout
    assert "Nothing to be done" in plan, "the number is the same, and its inspection is made"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"analysis": {}}, "unknown key 'analysis'; did you mean 'analyses'"),
        ({"results": ""}, "results"),
    ],
)
def test_a_wrong_config_is_one_clear_message(
    finished: Path, snakemake: Run, change: dict[str, Any], message: str
) -> None:
    config = yaml.safe_load((finished / "config.yaml").read_text()) | change
    (finished / "wrong.yaml").write_text(yaml.safe_dump(config))
    done = snakemake("--configfile", "wrong.yaml", "--dry-run", folder=finished, check=False)
    assert done.returncode != 0
    assert message in done.stdout
    assert "Traceback" not in done.stdout
