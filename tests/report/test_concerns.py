"""The report tells what is missing or doubtful, and why: lost rows, absent motifs, models, shared files."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import h5py
import pandas as pd
import pytest
from cislex.files.tables import write_table
from cislex.motifs.discovery import ModiscoSettings
from cislex.motifs.files import MemeMotif, write_meme
from cislex.provenance import to_attributes
from cislex.report import AnalysisTarget, RegionSet, TrainedModel, render_report
from cislex.report.sections.concerns import Concern, cap_concern, in_order, model_concerns, region_concerns
from cislex.report.sections.models import describe_models
from cislex.report.sections.motifs import why_no_motif
from cislex.report.sections.regions import Reason, RegionsView
from cislex.report.sections.training import describe_training
from report_fixture import one_hot, write_results

TEMPLATE = Path(__file__).resolve().parents[2] / "scripts" / "cislex" / "report" / "report.html.j2"


def regions(kept: int, **lost: int) -> RegionsView:
    reasons = [Reason(reason, rows, "line 1") for reason, rows in lost.items()]
    return RegionsView(RegionSet(name="peaks"), kept, reasons)


def target(folder: Path, **files: object) -> AnalysisTarget:
    return AnalysisTarget(
        analysis="a", target="t", region_set="peaks", model="net", attributions="x", motifs="y", **files
    )  # type: ignore[arg-type]


def test_many_lost_rows_are_told_with_the_main_reason() -> None:
    (concern,) = region_concerns([regions(80, past_edge=5, unknown_chromosome=15), regions(90, duplicate=10)])
    assert concern.text == (
        "20 of 100 rows of region set peaks (20 %) were dropped; main reason: unknown chromosome (15 rows)."
    )
    assert concern.anchor == "regions"


def test_rows_that_the_settings_leave_out_are_not_lost() -> None:
    asked = {"below_top": 40, "not_sampled": 20, "excluded_chromosome": 20}
    assert region_concerns([regions(20, **asked)]) == []
    assert "20 of 120 rows" in region_concerns([regions(20, **asked, blacklisted=20)])[0].text


@pytest.mark.parametrize(
    ("status", "over", "said"),
    [
        ("fail", 300, ("300 of 300 regions (100 %)", "were kept (qc.on_fail: keep): their contrib")),
        ("dropped", 218, ("218 of 300 regions (73 %)", "drop): motifs and hits use the other 82.")),
        ("dropped", 300, ("300 of 300 regions (100 %)", "(qc.on_fail: drop): no regions remain.")),
        ("fail", 0, ()),
    ],
)  # fmt: skip
def test_the_head_tells_how_many_regions_are_over_the_limit(
    tmp_path: Path, status: str, over: int, said: tuple[str, ...]
) -> None:
    options = write_results(tmp_path / "results")
    first, *_ = options.pop("analyses")  # type: ignore[misc]
    table = pd.read_csv(first.qc, sep="\t")
    table["status"] = [status] * over + ["pass"] * (300 - over)
    table["max_relative_delta"] = [0.02] * over + [1e-6] * (300 - over)
    write_table(table, first.qc)
    render_report(tmp_path / "r.html", title="T", template=TEMPLATE, analyses=[first], **options)  # type: ignore[arg-type]
    head = (tmp_path / "r.html").read_text().partition("</header>")[0]
    assert all(part in head for part in said)
    assert ("are over the completeness limit of 0.001 (largest relative delta 0.020) and" in head) == bool(
        over
    )


def test_the_head_says_that_a_model_lost_to_a_motif_and_is_not_to_be_interpreted(tmp_path: Path) -> None:
    options = write_results(tmp_path / "results")
    path = tmp_path / "results/models/yeast/fold_0.evaluation.tsv"
    scores = pd.read_csv(path, sep="\t").assign(auprc=[0.3, 0.85], auprc_low=0.2, auprc_high=[0.4, 0.9])
    write_table(scores, path)
    path = path.with_name("fold_0.baseline.tsv")
    write_table(pd.read_csv(path, sep="\t").assign(pwm_auprc_low=0.6, pwm_auprc_high=0.9), path)
    render_report(tmp_path / "r.html", title="T", template=TEMPLATE, **options)  # type: ignore[arg-type]
    head = (tmp_path / "r.html").read_text().partition("</header>")[0]
    told = head[head.index('id="concerns"') :]
    assert re.search(
        r'<li class="bad">Model yeast, fold_0: output reb1 is outperformed by a known motif: do not', told
    )
    assert "AUPRC 0.300 (0.200–0.400) against 0.810 (0.600–0.900) of REB1 MA0363.3" in told
    assert "output abf1" not in told


@pytest.mark.parametrize(
    ("positive", "negative", "said"),
    [
        (54, 1, "54 seqlets with positive and 1 seqlet with negative contributions; more than 100 of one"),
        (0, 0, "no seqlets with positive and no seqlets with negative contributions; more than 100"),
        (101, 3, "but no 20 of them are similar enough"),
    ],
)
def test_the_reason_for_no_motif_is_read_from_the_file(
    tmp_path: Path, positive: int, negative: int, said: str
) -> None:
    settings = dataclasses.asdict(ModiscoSettings(min_metacluster_size=100, final_min_cluster_size=20))
    facts = {"positive_seqlets": positive, "negative_seqlets": negative, "settings": settings}
    with h5py.File(tmp_path / "modisco.h5", "w") as handle:
        handle.attrs.update(to_attributes(facts))
    told = why_no_motif(target(tmp_path, modisco=tmp_path / "modisco.h5"))
    assert said in told
    assert ("motifs.min_metacluster_size" in told) == (positive <= 100)


def test_no_reason_is_made_up(tmp_path: Path) -> None:
    h5py.File(tmp_path / "modisco.h5", "w").close()
    assert why_no_motif(target(tmp_path, modisco=tmp_path / "modisco.h5")) == ""
    assert why_no_motif(target(tmp_path)) == ""


def write_inspection(path: Path) -> Path:
    rows = [
        ("fold_0", "model", "class", "Net", "1,939 parameters"),
        ("fold_0", "layer", "Conv1d", "2×", ""),
        ("fold_0", "output", "output", "N × 3", "-10 to 6 on random sequences"),
        ("fold_1", "model", "class", "Net", "1,939 parameters"),
        ("fold_1", "output", "output", "N × 3", "-9 to 5 on random sequences"),
    ]
    write_table(pd.DataFrame(rows, columns=["fold", "section", "name", "value", "detail"]), path)
    return path


def test_models_are_told_once_with_class_and_size(tmp_path: Path) -> None:
    spec = target(tmp_path, inspection=write_inspection(tmp_path / "inspection.tsv"))
    found = describe_models([spec, spec, target(tmp_path)], [TrainedModel(name="net", fold="fold_1")])
    assert [dataclasses.astuple(model) for model in found] == [
        ("net", "fold_0", "Net", "1,939", "N × 3", "given"),
        ("net", "fold_1", "Net", "1,939", "N × 3", "trained in this run"),
    ]


def test_the_page_tells_them(tmp_path: Path) -> None:
    options = write_results(tmp_path / "results")
    inspection = write_inspection(tmp_path / "inspection.tsv")
    first, empty, last = options.pop("analyses")  # type: ignore[misc]
    with h5py.File(tmp_path / "modisco.h5", "w") as handle:
        settings = dataclasses.asdict(ModiscoSettings())
        handle.attrs.update(
            to_attributes({"positive_seqlets": 54, "negative_seqlets": 12, "settings": settings})
        )
    first = dataclasses.replace(first, inspection=inspection)
    empty = dataclasses.replace(empty, inspection=inspection, modisco=tmp_path / "modisco.h5")
    lost = {"source_line": range(60), "chrom": "chrQ", "start": 1, "end": 2, "reason": "unknown_chromosome"}
    write_table(pd.DataFrame({**lost, "detail": ""}), tmp_path / "results/regions/peaks/dropped.tsv")
    options["settings"] = {"genome": "a/b/<i>.fa"}
    render_report(tmp_path / "r.html", title="T", template=TEMPLATE, analyses=[first, empty, last], **options)  # type: ignore[arg-type]
    html = (tmp_path / "r.html").read_text()
    assert "60 of 360 rows of region set peaks (17 %) were dropped; main reason: unknown chromosome." in html
    assert "No motif was found. TF-MoDISco found 54 seqlets with positive and 12 seqlets" in html
    assert "<dd>a/<wbr>b/<wbr>&lt;i&gt;.fa</dd>" in html
    assert re.search(
        r"<th scope=\"row\">yeast</th><td>fold_0</td><td>Net</td><td class=\"n\">1,939</td>", html
    )
    files = html[html.index('<section id="files">') :]
    shared = files[files.index("<h3>Shared</h3>") :]
    assert files.count('href="inspection.tsv"') == shared.count('href="inspection.tsv"') == 1


def test_a_constant_output_is_told_at_the_head_and_others_are_reported(tmp_path: Path) -> None:
    options = write_results(tmp_path / "results")
    first, empty, _ = options.pop("analyses")  # type: ignore[misc]
    with h5py.File(empty.attributions, "r+") as handle:
        handle["hypothetical"][...] = 0
    with h5py.File(tmp_path / "modisco.h5", "w") as handle:
        handle.attrs["no_attribution"] = 1
    empty = dataclasses.replace(empty, modisco=tmp_path / "modisco.h5")
    render_report(tmp_path / "r.html", title="T", template=TEMPLATE, analyses=[first, empty], **options)  # type: ignore[arg-type]
    html = (tmp_path / "r.html").read_text()
    head = html.partition("</header>")[0]
    assert "peaks_yeast / rap1: no attribution: every contribution is zero" in head
    assert "Every attribution is zero: this output of the model does not depend on the sequence." in html
    assert "1 distinct known motif" in head


def test_a_part_of_the_seqlets_small_databases_and_fallbacks_stand_at_the_head(tmp_path: Path) -> None:
    options = write_results(tmp_path / "results")
    first, empty, last = options.pop("analyses")  # type: ignore[misc]
    with h5py.File(tmp_path / "modisco.h5", "w") as handle:
        handle.attrs.update({"positive_seqlets": 80_000, "negative_seqlets": 4_000})
        handle.attrs.update({"seqlet_cap_reached": 1, "seqlet_fraction_kept": 0.0476})
    ppm = 0.97 * one_hot("TTACCCGG") + 0.0075
    write_meme([MemeMotif("MA0363.3", "REB1", ppm, 10)], tmp_path / "known.meme")
    databases = {"known": tmp_path / "known.meme"}
    given = [
        dataclasses.replace(first, modisco=tmp_path / "modisco.h5", databases=databases),
        empty,
        dataclasses.replace(last, databases=databases),
    ]
    render_report(tmp_path / "r.html", title="T", template=TEMPLATE, analyses=given, **options)  # type: ignore[arg-type]
    head = (tmp_path / "r.html").read_text().partition("</header>")[0]
    told = re.sub("<[^>]+>", "", head[head.index('id="concerns"') :])
    assert "peaks_yeast / reb1: motifs rest on 5 % of the 84,000 seqlets, from a random sample" in told
    assert "peaks_yeast / rap1: max pooling: 1 call integrated along the path." in told
    assert told.count("The database holds fewer than 25 known motifs") == 1


@pytest.mark.parametrize(("kept", "told"), [(0.9975, 0), (0.95, 0), (0.949, 1), (0.2, 1)])
def test_motifs_that_rest_on_nearly_all_seqlets_are_no_concern(kept: float, told: int) -> None:
    attributes = {"positive_seqlets": 2005, "negative_seqlets": 13, "seqlet_cap_reached": 1}
    assert len(cap_concern("a / t", "a", {**attributes, "seqlet_fraction_kept": kept})) == told


def test_many_concerns_of_one_kind_are_folded_and_severe_ones_come_first() -> None:
    folds = [Concern(f"t{i}: folds", f"t{i}-folds", target=f"t{i}", kind="folds") for i in range(9)]
    gate = [Concern(f"t{i}: gate", f"t{i}-quality", True, target=f"t{i}", kind="gate") for i in range(3)]
    groups = in_order([*folds, *gate, *folds])
    assert [[concern.text for concern in group] for group in groups] == [
        ["t0: gate"], ["t1: gate"], ["t2: gate"], [f"t{i}: folds" for i in range(9)],
    ]  # fmt: skip


def test_a_paired_difference_decides_whether_a_motif_beats_the_model(tmp_path: Path) -> None:
    options = write_results(tmp_path / "results")
    path = tmp_path / "results/models/yeast/fold_0.baseline.tsv"
    table = pd.read_csv(path, sep="\t").assign(pwm_auprc_low=0.7, pwm_auprc_high=0.95)
    gain = {"auprc_gain": [-0.02, -0.05], "auprc_gain_low": -0.06, "auprc_gain_high": [0.01, -0.01]}
    write_table(table.assign(**gain), path)
    (fold,) = describe_training(options["models"])  # type: ignore[arg-type]
    assert [defeat.output for defeat in fold.beaten] == ["abf1"]
    assert fold.columns[-1] == "Model − motif, AUPRC"
    assert [row[-1] for row in fold.scores] == ["−0.020 (−0.060 to 0.010)", "−0.050 (−0.060 to −0.010)"]
    assert [concern.severe for concern in model_concerns([fold])] == [True]
