"""Windows, screens and thinned-out attributions through the whole workflow, to the report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from cislex.motifs.hits import read_hits
from small_project import write_project

sys.path.insert(0, str(Path(__file__).parent))
from conftest import Run, planned

pytestmark = pytest.mark.workflow
WINDOW = [30, 132]
BARE = {"motifs": None, "hits": None, "seqlets": None, "syntax": None}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, snakemake: Run) -> Path:
    """One analysis of a window with motifs and hits; a screen with few contributions, refined by ISM."""
    folder = write_project(tmp_path_factory.mktemp("storage"))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    shap = config["analyses"]["shap"]
    one = {"a": shap["targets"]["a"]}
    bare = {**shap, **BARE, "folds": ["fold_0"]}
    config["regions"]["mine"]["chunks"] = 2
    config["analyses"] = {
        "windowed": {**shap, "targets": one, "attributions": {"window": WINDOW, "round_to": "float16"},
                     "hits": {}},
        "quick": {**bare, "targets": one, "method": {"name": "tism"}, "attributions": {"keep": 40}},
        "refined": {**bare, "method": {"name": "ism"},
                    "screen": {"analysis": "quick", "width": 20, "regions": 60}},
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    snakemake("--configfile", "config.yaml", folder=folder)
    return folder


def arrays(folder: Path, analysis: str, target: str = "a") -> dict[str, Any]:
    with h5py.File(folder / "results" / analysis / target / "attributions.h5") as handle:
        found = {name: handle[name][:] for name in handle if name != "regions"}
        return found | {name: handle[f"regions/{name}"][:] for name in handle["regions"]}


def codes(folder: Path) -> np.ndarray:
    lines = (folder / "sequences.fa").read_text().splitlines()[1::2]
    return np.array([["ACGT".index(letter) for letter in line] for line in lines])


def matches(letters: np.ndarray) -> np.ndarray:
    """Bases (n, L - 7) at each place that agree with the better of both motifs that the model looks for."""
    every = np.lib.stride_tricks.sliding_window_view(letters, 8, axis=1)
    motifs = np.array([[2, 0, 1, 3, 3, 1, 0, 2], [0, 0, 2, 3, 2, 0, 0, 2]])
    return np.asarray(np.max([(every == motif).sum(axis=2) for motif in motifs], axis=0))


def test_hits_in_windows_are_placed_in_the_sequences(finished: Path) -> None:
    found = arrays(finished, "windowed")
    width = WINDOW[1] - WINDOW[0]
    assert found["hypothetical"].shape == (300, 4, width)
    assert found["start"].tolist() == [WINDOW[0]] * 300
    assert 0.5 < np.median(found["window_share"]) <= 1
    hits = read_hits(finished / "results" / "windowed" / "a" / "hits.bed.gz")
    assert len(hits) > 100
    letters = codes(finished)
    rows = {f"s{i}": i for i in range(300)}
    near = []
    for hit in hits.itertuples():
        near.append(matches(letters[rows[hit.region]][None, max(hit.start - 4, 0) : hit.end + 4]).max())
        assert WINDOW[0] <= hit.start < hit.end <= WINDOW[1]
    assert np.mean(np.array(near) >= 6) > 0.8


def test_the_report_says_what_is_stored(finished: Path) -> None:
    text = (finished / "results" / "report.html").read_text()
    assert "Stored are 102 of the 140 bp of each region (30 to 132)" in text
    assert "Only the 40 largest contributions of each are kept" in text
    assert "Stored are 20 of the 140 bp of each region;" in text


def test_a_screen_finds_the_planted_motif_and_ism_refines_it(finished: Path) -> None:
    table = pd.read_csv(finished / "results" / "refined" / "windows.tsv", sep="\t")
    assert len(table) == table["row"].nunique() == 60
    letters = codes(finished)[table["row"]]
    scores = matches(letters)
    site = scores.argmax(axis=1)
    clear = scores.max(axis=1) >= 7
    assert clear.sum() > 30
    low = table["window_start"].to_numpy()
    inside = (low <= site) & (site + 8 <= low + 20)
    assert inside[clear].mean() > 0.85
    found = arrays(finished, "refined")
    assert found["hypothetical"].shape == (60, 4, 20)
    own = np.stack([row[start : start + 20] for row, start in zip(letters, low, strict=True)])
    np.testing.assert_array_equal(found["sequences"].argmax(axis=1), own)
    largest = np.abs((found["hypothetical"] * found["sequences"]).sum(axis=1)).argmax(axis=1) + low
    assert ((site - 1 <= largest) & (largest <= site + 8))[clear].mean() > 0.75
    assert arrays(finished, "refined", "b")["start"].tolist() == found["start"].tolist()
    assert (arrays(finished, "quick")["hypothetical"].any(axis=1).sum(axis=1) <= 40).all()


def test_a_check_of_the_results_reads_windows_and_what_is_stored_of_them(
    finished: Path, snakemake: Run
) -> None:
    snakemake("--configfile", "config.yaml", "--", "check", folder=finished)
    table = pd.read_csv(finished / "results" / "verification.tsv", sep="\t").set_index("file")
    assert table.loc["refined/windows.tsv", "kind"] == "windows"
    assert set(table["status"]) == {"ok"}, table[table["status"] != "ok"].to_string()


def test_only_what_a_screen_changes_runs_again(finished: Path, snakemake: Run) -> None:
    assert "Nothing to be done" in snakemake("--configfile", "config.yaml", folder=finished).stdout
    config = yaml.safe_load((finished / "config.yaml").read_text())
    config["analyses"]["refined"]["screen"]["regions"] = 59
    (finished / "fewer.yaml").write_text(yaml.safe_dump(config))
    again = ("--configfile", "fewer.yaml", "--dry-run")
    plan = planned(snakemake(*again, folder=finished).stdout)
    assert plan["choose_windows"] == 1
    assert plan["attribute_chunk"] == 2, "of the refined analysis alone"
    config["analyses"]["refined"]["screen"]["regions"] = 60
    config["analyses"]["quick"]["attributions"]["keep"] = 30
    (finished / "thinner.yaml").write_text(yaml.safe_dump(config))
    plan = planned(snakemake("--configfile", "thinner.yaml", "--dry-run", folder=finished).stdout)
    assert plan["choose_windows"] == 1
    assert plan["attribute_chunk"] == 2 + 2
