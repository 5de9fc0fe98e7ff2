"""The fewest references that are enough, chosen when a model is inspected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import insertion_fixtures
import numpy as np
import pandas as pd
import pytest
from cislex.attribution import DeepLiftShap, reference_sufficiency
from cislex.chunks.attribute import ChunkJob, attribute_chunk, region_seeds
from cislex.chunks.files import read_reference_number
from cislex.errors import ConfigError, StorageError
from cislex.models.loading import load_model
from cislex.prediction.reference_choice import ReferenceChoice, choose_references
from cislex.sequences.store import SequenceStore
from inspection_fixture import METHOD, inspect

MOST = 6


def measured(**agreements: list[float]) -> pd.DataFrame:
    """Rows of a fold of each name, one target, references 1 to n."""
    parts = [
        pd.DataFrame({"fold": fold, "target": "t", "references": range(1, len(values) + 1), "regions": 5,
                      "agreement": values})
        for fold, values in agreements.items()
    ]  # fmt: skip
    return pd.concat(parts)


@pytest.mark.parametrize(
    ("agreements", "n", "worst", "reached"),
    [
        ({"a": [0.9, 0.98, 0.99], "b": [0.5, 0.9, 0.985]}, 3, "b", True),
        ({"a": [0.98, 0.99, 0.99], "b": [np.nan] * 3}, 1, "a", True),
        ({"a": [0.1, 0.2, 0.97], "b": [0.99] * 3}, 3, "a", False),
        ({"a": [np.nan] * 3}, 3, "", False),
    ],
)
def test_the_fewest_that_suffice_for_the_worst_fold_and_target_are_chosen(
    agreements: dict[str, list[float]], n: int, worst: str, reached: bool
) -> None:
    chosen = choose_references(measured(**agreements), 0.98, 3)
    assert (chosen.n, chosen.worst[0], chosen.reached) == (n, worst, reached)
    assert ("the fewest" in chosen.reason()) == reached


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    codes = np.random.default_rng(1).integers(0, 4, (40, 60))
    return insertion_fixtures.write_store(tmp_path_factory.mktemp("choice") / "sequences.h5", codes)


def options(regions: Path, folder: Path, sufficiency: float) -> dict[str, Any]:
    automatic = {"sequences": regions, "sufficiency": sufficiency, "most": MOST, "seed": 3}
    method = {**METHOD, "references": {"kind": "dinucleotide_shuffle", "n": "auto", "seed": 0}}
    return {"automatic": automatic, "method": method, "references": folder / "references.json"}


def test_an_inspection_chooses_tells_and_attribution_takes_it(regions: Path, tmp_path: Path) -> None:
    table = pd.read_csv(inspect(tmp_path, folds=2, **options(regions, tmp_path, 0.5)), sep="\t")
    number = read_reference_number(tmp_path / "references.json")
    told = table[(table["section"] == "references") & (table["name"] == "number")]
    assert set(told["value"].astype(int)) == {number}
    assert 1 <= number < MOST
    agreement = table.loc[table["section"] == "agreement", "value"].astype(float)
    assert len(agreement) == 2
    assert agreement.min() >= 0.5
    assert f"less to compute than with {MOST}" in told["detail"].iloc[0]

    model = {"loader": "factory", "module": f"{tmp_path / 'net.py'}:build"}
    job = ChunkJob(0, 1, "fold_0", {"first": {"kind": "output", "index": 0}}, METHOD, seed=3)
    rows = np.unique(np.linspace(0, 39, 32).astype(int))
    with SequenceStore(regions) as store:
        x, seeds = store.read()[rows], region_seeds(store, job, 0, 40)[rows]
    loaded = load_model(weights=tmp_path / "fold_0.pt", **model)
    own = reference_sufficiency(loaded.model, x, DeepLiftShap(), counts=(1, number, MOST), seeds=seeds)
    expected = own.table.set_index("references")["expected_pearson_median"]
    assert float(agreement.iloc[0]) == pytest.approx(expected[number], abs=1e-3), (
        "the references of attribution"
    )

    automatic = ChunkJob(**{**job.__dict__, "method": options(regions, tmp_path, 0.5)["method"]})
    given = ChunkJob(
        **{**job.__dict__, "method": {**METHOD, "references": {**METHOD["references"], "n": number}}}
    )
    with pytest.raises(ConfigError, match=r"references\.n is 'auto'"):
        attribute_chunk(
            regions, tmp_path / "fold_0.pt", tmp_path / "c.h5", automatic, model=model, device="cpu"
        )
    for out, asked, chosen in (("a.h5", automatic, tmp_path / "references.json"), ("b.h5", given, None)):
        attribute_chunk(
            regions,
            tmp_path / "fold_0.pt",
            tmp_path / out,
            asked,
            model=model,
            device="cpu",
            references=chosen,
        )
    assert read_content(tmp_path / "a.h5") == read_content(tmp_path / "b.h5")


def read_content(path: Path) -> dict[str, Any]:
    import h5py

    with h5py.File(path) as handle:
        kept = ("method", "stage_digest", "stage_digests", "content_digests")
        return {name: str(handle.attrs[name]) for name in kept}


def test_where_the_most_are_not_enough_they_are_taken_with_a_warning(
    regions: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING"):
        inspect(tmp_path, **options(regions, tmp_path, 0.99999))
    assert json.loads((tmp_path / "references.json").read_text()) == {"n": MOST}
    assert "the most allowed, but not enough for a correlation of 0.99999" in caplog.text
    assert "the most allowed" in (tmp_path / "inspection.txt").read_text()


def test_a_given_number_is_no_choice(tmp_path: Path) -> None:
    table = pd.read_csv(inspect(tmp_path, references=tmp_path / "references.json"), sep="\t")
    assert not table["section"].isin(["references", "agreement"]).any()
    with pytest.raises(StorageError, match=r"references\.json: cannot be read"):
        read_reference_number(tmp_path / "references.json")


@pytest.mark.parametrize("wrong", [{"sufficiency": 1.0}, {"most": 1}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ReferenceChoice(**{"sequences": "s.h5", "sufficiency": 0.9, "most": 5, **wrong})
