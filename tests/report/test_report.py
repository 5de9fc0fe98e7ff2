"""The report page: complete, self-contained, escaped, deterministic, and readable by a browser."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import report_fixture as fixture
from cislex.errors import InputError, StorageError
from cislex.report import AnalysisTarget, TrainedModel, render_report
from cislex.report.sections.training import describe_training, ranking

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "scripts" / "cislex" / "report" / "report.html.j2"
VOID = {"meta", "link", "br", "img", "hr", "input"}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """Return the results folder and the arguments that go with it."""
    root = tmp_path_factory.mktemp("results")
    return root, fixture.write_results(root)


@pytest.fixture(scope="module")
def page(results: tuple[Path, dict]) -> Path:
    """Return the page of the whole folder."""
    root, arguments = results
    out = root / "report.html"
    render_report(out, title="Lexicon & <b>more</b>", template=TEMPLATE, trusted=["yeast"], **arguments)
    return out


class Outline(HTMLParser):
    """Collects text by section and every address; fails on tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("href", "src"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag


def outline(page: Path) -> Outline:
    parser = Outline()
    parser.feed(page.read_text(encoding="utf-8"))
    parser.close()
    assert parser.open == []
    return parser


def plain(page: Path) -> str:
    """Return the words of the page on one line."""
    text = re.sub(
        r"<style>.*?</style>|<script.*?</script>|<[^>]+>", " ", page.read_text(encoding="utf-8"), flags=re.S
    )
    return re.sub(r"\s+", " ", text.replace("&nbsp;", " ")).strip()


def test_page_is_self_contained_light_and_runs_its_own_script_alone(page: Path) -> None:
    found, text = outline(page), page.read_text(encoding="utf-8")
    assert page.stat().st_size < 1_500_000
    assert found.tags.count("script") == 1
    script = text[text.index("<script>") + 8 : text.index("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    rules = policy[1].split("; ")
    assert rules[0] == "default-src 'none'", "nothing is loaded from elsewhere"
    assert rules[-1] == f"script-src 'sha256-{digest}'"
    assert found.handlers == []
    inside = ("data:image/", "data:,", "#")
    links = [address for address in found.addresses if not address.startswith(inside)]
    assert links
    outside = [address for address in links if re.match(r"[a-z]+:|/", address)]
    assert outside
    assert not [
        a for a in outside if not a.startswith(("https://doi.org/", "https://jaspar.elixir.no/matrix/"))
    ]
    assert not re.search(r"url\(|@import", text)
    assert len(found.ids) == len(set(found.ids))
    assert {a[1:] for a in found.addresses if a.startswith("#")} <= set(found.ids)


def test_every_link_leads_to_a_file(page: Path) -> None:
    links = [a for a in outline(page).addresses if not a.startswith(("data:", "#", "https:"))]
    assert all((page.parent / link).exists() for link in links)
    assert "peaks_yeast/reb1/motifs.tsv" in links


def test_contents_lead_to_every_part_of_every_target(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    contents = text[text.index("<nav") : text.index("</nav>")]
    places = re.findall(r'href="#([^"]+)"', contents)
    parts = ("", "-motifs", "-hits", "-regions", "-quality")
    without = tuple(part for part in parts if part != "-hits")
    labels = {"peaks_yeast.reb1": parts, "peaks_yeast.rap1": without, "mine.abf1": without}
    assert places.pop(0) == "targets"
    assert places[:13] == [label + part for label, parts in labels.items() for part in parts]
    assert places[13:] == ["regions", "models", "truth", "methods", "references", "bibtex", "files", "run"]


def test_pictures_have_words(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    pictures = re.findall(r"<img[^>]*>", text)
    assert pictures
    assert all(re.search(r'alt="[^"]+"', picture) for picture in pictures)
    figures = re.findall(r"<svg[^>]*>", text)
    assert all(re.search(r'aria-label="[^"]+"|aria-hidden="true"', figure) for figure in figures)


def test_curves_state_their_scores(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert ">reb1: AUPRC 0.790</text>" in text, "no interval where a limit is unknown"
    assert ">reb1: AUROC 0.910 (0.880–0.940)</text>" in text
    assert "abf1: AUROC 0.920 (0.880–0.940)" in text


def test_hostile_names_are_text(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("<script") == 1
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;" in text
    assert "<b>more</b>" not in text


def test_summary_names_the_best_match_and_the_empty_target(page: Path) -> None:
    text = plain(page)
    assert "1 distinct known motif in 3 targets over 330 regions: REB1 (MA0363.3)." in text
    assert "Of 3 patterns, 1 matches a known motif (q ≤ 0.05) and 2 resemble no known motif." in text
    assert "Of 2 patterns, 1 matches a known motif (q ≤ 0.05) and 1 resembles no known motif." in text
    assert "frequent, pattern pos_0, with 1,034 seqlets, resembles REB1 (MA0363.3), p = 2.1×10⁻¹⁵, q" in text
    assert "1 raises and 1 lowers the prediction. 21 further patterns flagged as doubtful." in text
    assert "No known motif over 30 regions. The one pattern, pos_0, with 88 seqlets, resembles" in text
    assert "Best match of the most frequent pattern: REB1 (MA0363.3) in peaks_yeast / reb1" in text
    assert "No motif in peaks_yeast / rap1." in text


def test_a_match_that_chance_would_give_names_nothing(results: tuple[Path, dict], tmp_path: Path) -> None:
    (target,) = [spec for spec in results[1]["analyses"] if spec.label == "peaks_yeast / reb1"]
    table = pd.read_csv(target.motifs, sep="\t", dtype=str, keep_default_na=False)
    table["match_1_q"] = "0.89"
    table.to_csv(tmp_path / "motifs.tsv", sep="\t", index=False)
    changed = dataclasses.replace(target, motifs=tmp_path / "motifs.tsv")
    render_report(tmp_path / "r.html", title="t", results="r", analyses=[changed], template=TEMPLATE)
    text = plain(tmp_path / "r.html")
    assert "resembles no known motif of the database (nearest: REB1 (MA0363.3), q = 0.89)" in text
    assert "no significant match; nearest: REB1" in text
    assert "pos_0 REB1 (MA0363.3)" not in text, "the table of hits names no match"


def test_rows_read_are_rows_kept_plus_dropped(page: Path) -> None:
    text = plain(page)
    assert "303 rows read, 300 kept , 3 dropped." in text
    assert "excluded chromosome 2 line 301, chrM:5–10" in text
    assert "30 rows read, 30 kept , 0 dropped. These sequences were given directly" in text


def test_scores_have_intervals_where_they_are_known(page: Path) -> None:
    text = plain(page)
    assert "reb1 test 640 210 0.910 (0.880–0.940) 0.790" in text
    assert "lowest validation loss 0.1411 at epoch 30" in text


def test_the_epoch_that_was_kept_is_marked(tmp_path: Path) -> None:
    table = pd.DataFrame({"epoch": [1, 2, 3], "train_loss": [0.6, 0.4, 0.3]})
    table = table.assign(validation_loss=[0.6, 0.45, 0.5], validation_auprc=[0.7, 0.8, 0.83])
    table.to_csv(tmp_path / "auprc.tsv", sep="\t", index=False)
    table.drop(columns="validation_auprc").to_csv(tmp_path / "loss.tsv", sep="\t", index=False)
    told = {}
    for name in ("auprc", "loss"):
        (view,) = describe_training([TrainedModel(name="m", fold="f", training=tmp_path / f"{name}.tsv")])
        assert view.epochs.removeprefix("3 epochs; ") in str(view.curve)
        told[name] = view.epochs
    assert told["auprc"] == "3 epochs; highest mean validation AUPRC 0.830 at epoch 3"
    assert told["loss"] == "3 epochs; lowest validation loss 0.45 at epoch 2"


def test_a_model_is_compared_with_the_best_known_motif(page: Path) -> None:
    text = plain(page)
    assert "REB1 MA0363.3 0.880 0.810" in text
    assert "outperformed" not in text, "the intervals overlap"
    assert "Precision and recall of model yeast, fold_0" in page.read_text(encoding="utf-8")


def test_ranking_gives_the_points_of_both_curves() -> None:
    truth = np.array([True, False, True, False])
    recall, precision, misses = ranking(truth, np.array([4.0, 3.0, 3.0, 1.0]))
    np.testing.assert_allclose(recall, [0.5, 1, 1])
    np.testing.assert_allclose(precision, [1, 2 / 3, 0.5])
    np.testing.assert_allclose(misses, [0, 0.5, 1])


def test_numbers_are_drawn_as_a_scatter_plot(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"split": "test", "sequence": "A", "x.observed": [0.0, 1, 2.5], "x.predicted": [0, 1, 2]}
    )
    table.to_csv(tmp_path / "h.tsv.gz", sep="\t", index=False)
    scores = {
        "task": ["x"],
        "split": "test",
        "n": 3,
        "pearson": 0.98,
        "pearson_low": 0.9,
        "pearson_high": 0.99,
    }
    pd.DataFrame(scores).to_csv(tmp_path / "e.tsv", sep="\t", index=False)
    model = TrainedModel(name="m", fold="f", evaluation=tmp_path / "e.tsv", held_out=tmp_path / "h.tsv.gz")
    (view,) = describe_training([model])
    assert len(view.drawn) == 1
    assert view.drawn[0].count("<circle") == 3
    assert view.columns == ["Output", "Split", "n", "Pearson"]
    assert view.scores == [["x", "test", "3", "0.980 (0.900–0.990)"]]


def test_regions_over_the_limit_are_counted_and_named_worst_first(page: Path) -> None:
    text = plain(page)
    assert "2 regions of 300 over the limit; 2 regions dropped" in text
    assert text.index("chrIV:3,500–3,700 (−) 0.020 dropped") < text.index(
        "chrIV:7,500–7,700 (−) 0.0050 dropped"
    )
    assert "does not guarantee completeness" in text


def test_flagged_motifs_stand_apart(page: Path) -> None:
    text = plain(page)
    assert "21 doubtful patterns" in text
    assert text.count("low information") == 20


def test_hits_are_counted_by_motif_and_strand(page: Path) -> None:
    text = plain(page)
    assert "301 hits over 300 regions." in text
    assert "pos_0 REB1 (MA0363.3) 300 150 150 1.00 0.930 1.400" in text
    assert "Hits were not called in this run." in text


def test_truth_tells_driving_motifs_from_decoys(page: Path) -> None:
    text = plain(page)
    assert "1 of 1 planted motif recovered; 0 of 1 decoy found" in text
    assert "REB1 MA0363.3 drives these regions ✓ recovered as pattern pos_0; variant pattern pos_1" in text
    assert "ABF1 MA0265.3 drives abf1, not these regions not found" in text
    assert "DECOY1 MA9999.1 decoy ✓ not found, as it should be" in text


def test_notes_and_trusted_pickles_are_told(page: Path) -> None:
    text = plain(page)
    assert "max pooling: 1 call integrated along the path" in text
    assert "trust_pickle: true" in text


def test_method_is_told_for_each_target(page: Path) -> None:
    said = "deep_lift_shap, rule rescale, 20 references per region (dinucleotide shuffle), float32."
    assert plain(page).count(said) == 3


def test_real_data_have_no_truth(results: tuple[Path, dict], tmp_path: Path) -> None:
    _, arguments = results
    bare = [dataclasses.replace(spec, truth=None) for spec in arguments["analyses"][1:]]
    render_report(tmp_path / "r.html", title="t", results="r", analyses=bare, template=TEMPLATE)
    text = plain(tmp_path / "r.html")
    assert "Truth" not in text
    assert "No model was trained in this run" in text


def test_motifs_that_were_left_out_are_not_called_none(results: tuple[Path, dict], tmp_path: Path) -> None:
    bare = {"motifs": None, "logos": None, "modisco": None, "databases": {}, "hits": None, "truth": None}
    every = [dataclasses.replace(spec, **bare, settings={"motifs": None}) for spec in results[1]["analyses"]]
    for analyses, lead in (
        (every, "were attributed, without motif discovery."),
        (every[:1], "Motif discovery is switched off"),
    ):
        render_report(tmp_path / "r.html", title="t", results="r", analyses=analyses, template=TEMPLATE)
        text = plain(tmp_path / "r.html")
        assert lead in text
        assert "o motif was found" not in text
        assert "TF-MoDISco" not in text
        assert "TOMTOM" not in text
    some = [every[0], *results[1]["analyses"][1:]]
    render_report(tmp_path / "r.html", title="t", results="r", analyses=some, template=TEMPLATE)
    assert f"No motif in {every[0].label}" not in plain(tmp_path / "r.html")


def test_same_inputs_give_the_same_bytes(results: tuple[Path, dict], page: Path) -> None:
    root, arguments = results
    again = root / "again.html"
    render_report(again, title="Lexicon & <b>more</b>", template=TEMPLATE, trusted=["yeast"], **arguments)
    assert again.read_bytes() == page.read_bytes()


def test_regions_are_drawn_highest_first_and_hits_follow_the_strand(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    order = [text.index(f"{(n * 1000 + 500):,}–{(n * 1000 + 700):,}") for n in (299, 298, 297, 290)]
    assert order == sorted(order)
    figures = re.findall(r'<svg class="region".*?</svg>', text, flags=re.S)
    assert len(figures) == 48, "10 highest, 3 lowest and 3 random ones of each target"
    # Regions of both strands show the site in the same place of the region as it was read.
    for figure in figures[:10]:
        _, zoomed = re.findall(
            r'<path d="M([\d.]+) [\d.]+v-5H[\d.]+v5" fill="none" stroke="#222"/>'
            r"<text[^>]*>REB1 →",
            figure,
        )
        tall = r'<use href="#base-T" transform="translate\(([\d.]+) [\d.]+\) scale\([\d.]+ 0\.[5-9]'
        first_letter = re.search(tall, figure)
        assert first_letter is not None
        assert float(zoomed) == pytest.approx(float(first_letter[1]), abs=1.0)


def test_no_regions_left_is_a_page(tmp_path: Path) -> None:
    none = fixture.make_regions(0)
    with h5py.File(tmp_path / "attributions.h5", "w") as handle:
        handle["sequences"] = np.zeros((0, 4, 50), np.uint8)
        handle["hypothetical"] = np.zeros((0, 4, 50), np.float32)
        handle["prediction"] = np.zeros(0, np.float32)
        fixture.write_regions(handle, none)
    fixture.write_motifs(tmp_path, [])
    spec = AnalysisTarget(
        analysis="a", target="b", region_set="r", model="m",
        attributions=tmp_path / "attributions.h5", motifs=tmp_path / "motifs.tsv",
    )  # fmt: skip
    render_report(tmp_path / "r.html", title="t", results="r", analyses=[spec], template=TEMPLATE)
    assert "There are no regions." in plain(tmp_path / "r.html")


def test_unknown_bases_and_flat_contributions_are_drawn(tmp_path: Path) -> None:
    from cislex.report.figures.regions import Region, region_figure

    empty = Region(np.zeros((4, 30), np.float32), np.zeros((4, 30), np.uint8))
    figure = region_figure(empty, window=90, label="nothing")
    assert "nan" not in figure
    assert "<use" not in figure


@pytest.mark.parametrize(("field", "named"), [("motifs", "analysis peaks_yeast"), ("hits", "target reb1")])
def test_missing_file_is_a_named_error_and_no_page(
    results: tuple[Path, dict], tmp_path: Path, field: str, named: str
) -> None:
    _, arguments = results
    broken = dataclasses.replace(arguments["analyses"][0], **{field: tmp_path / "absent"})
    with pytest.raises(InputError, match=named) as caught:
        render_report(tmp_path / "r.html", title="t", results="r", analyses=[broken], template=TEMPLATE)
    assert "absent" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_missing_column_is_a_named_error(results: tuple[Path, dict], tmp_path: Path) -> None:
    _, arguments = results
    pd.DataFrame({"motif": ["pos_0"]}).to_csv(tmp_path / "motifs.tsv", sep="\t", index=False)
    broken = dataclasses.replace(arguments["analyses"][0], motifs=tmp_path / "motifs.tsv")
    with pytest.raises(StorageError, match="lacks the columns sign, n_seqlets"):
        render_report(tmp_path / "r.html", title="t", results="r", analyses=[broken], template=TEMPLATE)


def test_nothing_to_report_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no analysis was given"):
        render_report(tmp_path / "r.html", title="t", results="r", analyses=[], template=TEMPLATE)


def test_logo_names_cannot_leave_their_folder(results: tuple[Path, dict], tmp_path: Path) -> None:
    from cislex.report.sections.motifs import describe_motifs

    (tmp_path / "secret.svg").write_text("<svg>secret</svg>")
    (tmp_path / "logos").mkdir()
    row = fixture.motif("pos_0", "+", 5, "ACGT", logo="../secret.svg", match_logo="../secret.svg")
    pd.DataFrame([row]).to_csv(tmp_path / "motifs.tsv", sep="\t", index=False)
    _, arguments = results
    motifs, logos = tmp_path / "motifs.tsv", tmp_path / "logos"
    spec = dataclasses.replace(arguments["analyses"][0], motifs=motifs, logos=logos)
    (found,) = describe_motifs(spec)
    assert found.logo is None
    assert found.match_logo is None


RUN_RULE = """
import json, runpy, sys
from types import SimpleNamespace
script, given = sys.argv[1], json.loads(open(sys.argv[2]).read())
snakemake = SimpleNamespace(
    scriptdir=given["scriptdir"], log=[given["log"]],
    output=SimpleNamespace(report=given["report"]), params=SimpleNamespace(**given["params"]), threads=1,
)
runpy.run_path(script, init_globals={"snakemake": snakemake})
"""


def test_rule_script_renders_the_page(results: tuple[Path, dict], tmp_path: Path) -> None:
    _, arguments = results
    given = {
        "scriptdir": str(ROOT / "scripts"),
        "log": str(tmp_path / "logs" / "report.log"),
        "report": str(tmp_path / "report.html"),
        "params": {
            **{key: [dataclasses.asdict(one) for one in arguments[key]] for key in ("analyses", "regions")},
            "models": [dataclasses.asdict(one) for one in arguments["models"]],
            "options": {"title": "By the rule", "results": "results", "settings": {}, "trusted": []},
        },
    }
    (tmp_path / "given.json").write_text(json.dumps(given, default=str))
    # A process of its own, because the script sends its output to the log for good.
    script = str(ROOT / "scripts" / "render_report.py")
    subprocess.run([sys.executable, "-c", RUN_RULE, script, str(tmp_path / "given.json")], check=True)
    assert "By the rule" in plain(tmp_path / "report.html")
    assert "3 targets" in (tmp_path / "logs" / "report.log").read_text()
