"""In-silico experiments in the workflow: the planted motif has an effect, reruns repeat what they must."""

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
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    snakemake("--configfile", "config.yaml", "--", TABLE, folder=folder)
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
        snakemake("--configfile", "changed.yaml", "--dry-run", "--", TABLE, folder=inserted).stdout
    )
    plan.pop("total", None)
    assert dict(plan) == expected
