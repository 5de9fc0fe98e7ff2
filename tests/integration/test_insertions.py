"""Experiments and designs in the workflow: the planted motif matters, reruns repeat what they must."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from small_project import configuration, write_project

sys.path.insert(0, str(Path(__file__).parent))
from conftest import Run, planned

pytestmark = pytest.mark.workflow

FOLDER = "results/insertions/own"
TABLE = f"{FOLDER}/insertions.tsv"
TRAJECTORIES = "results/evolution/rise/trajectories.tsv"


@pytest.fixture(scope="module")
def inserted(tmp_path_factory: pytest.TempPathFactory, snakemake: Run) -> Path:
    """What the small project's model looks for, and something else, without any attribution."""
    folder = write_project(tmp_path_factory.mktemp("insertions"))
    config = configuration()
    del config["models"]["net"]["folds"]["fold_1"]
    config["insertions"] = {
        "own": {
            "analysis": "shap", "motifs": {"planted": "GACTTCAG", "other": "CCCGGNGCA"}, "pairs": "all",
            "spacings": {"from": 12, "to": 30, "step": 9}, "backgrounds": {"n": 20}, "chunks": 2,
        }
    }  # fmt: skip
    config["evolution"] = {
        "rise": {
            "analysis": "shap", "target": "b", "guide": {"name": "greedy"}, "rounds": 8,
            "start": {"n": 3, "shuffle": "shuffle"},
            "constraints": {"keep": [[0, 10]], "forbidden": ["GACTTCAG"]},
        }
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    snakemake("--configfile", "config.yaml", "--", TABLE, TRAJECTORIES, folder=folder)
    return folder


def test_the_planted_motif_has_an_effect_and_pairs_have_one_at_every_distance(inserted: Path) -> None:
    table = pd.read_csv(inserted / TABLE, sep="\t", keep_default_na=False).set_index("kind")
    singles = table.loc["single"].astype({"effect": float, "q": float})
    planted = singles.query("word_a == 'planted' and orientation == '+'")
    assert (planted["q"] < 1e-6).all()
    assert set(planted["target"]) == {"a", "b"}
    other = singles.query("word_a == 'other'")
    assert other["effect"].abs().max() < planted["effect"].abs().min()
    assert len(table.loc["pair"]) == 2 * 3 * (4 + 3 + 3)
    inserts = pd.read_csv(inserted / FOLDER / "inserts.tsv", sep="\t")
    assert sorted(inserts["inserted"]) == ["CCCGGNGCA", "GACTTCAG"]
    assert len(pd.read_csv(inserted / FOLDER / "sites.tsv", sep="\t")) == 0


def test_sequences_evolve_within_their_constraints(inserted: Path) -> None:
    table = pd.read_csv(inserted / TRAJECTORIES, sep="\t", keep_default_na=False)
    assert table["sequence"].nunique() == 3
    rises = table.astype({"objective": float}).groupby("sequence")["objective"]
    assert (rises.diff().dropna() > 0).all()
    edited = table.loc[table["round"] > 0, "position_0based"].astype(int)
    assert edited.min() >= 10
    letters = (inserted / TRAJECTORIES).with_name("evolved.fa").read_text().split("\n")[1::2]
    assert not any("GACTTCAG" in one or "CTGAAGTC" in one for one in letters)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {}),
        ({"seed": 1}, {"prepare_insertions": 1, "insert_chunk": 2, "insert_motifs": 1}),
    ],
    ids=["nothing", "seed"],
)
def test_a_changed_setting_repeats_what_depends_on_it(
    inserted: Path, snakemake: Run, change: dict[str, object], expected: dict[str, int]
) -> None:
    config = yaml.safe_load((inserted / "config.yaml").read_text())
    config["insertions"]["own"].update(change)
    (inserted / "changed.yaml").write_text(yaml.safe_dump(config))
    plan = planned(
        snakemake(
            "--configfile", "changed.yaml", "--dry-run", "--", TABLE, TRAJECTORIES, folder=inserted
        ).stdout
    )
    plan.pop("total", None)
    assert dict(plan) == expected
