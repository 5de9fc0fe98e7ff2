"""Faithfulness of a linear model's attributions is exact; nothing depends on batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from cislex.chunks.attribute import ChunkJob
from cislex.comparison.faithfulness import (
    FaithfulnessSettings,
    draws_references,
    measure_faithfulness,
    randomise,
)
from cislex.errors import ModelError
from comparison_fixtures import LINEAR, Linear, make_codes, write_attributions, write_store

N = 8
CODES = make_codes(N, seed=5)
TARGETS = {"a": {"kind": "output", "index": 0}, "b": {"kind": "output", "index": 1}}
SHUFFLES = {"kind": "dinucleotide_shuffle", "n": 4, "seed": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("linear")
    write_store(folder / "sequences.h5", CODES)
    torch.save(Linear().state_dict(), folder / "w.pt")
    weight = Linear().weight.detach().numpy()
    for target, scale in (("a", 1), ("b", -2)):  # the second with the wrong sign
        write_attributions(folder / f"{target}.h5", CODES, np.repeat(scale * weight[None], N, axis=0))
    rows = [
        ("chr1", 100 * i + at, 100 * i + at + 4, "+", name, name, "own", True, "p")
        for i in range(N)
        for name, at in (("A", 2), ("B", 12))
    ]
    columns = ["chrom", "start", "end", "strand", "motif", "name", "assay", "functional", "peak"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "truth.tsv", sep="\t", index=False)
    return folder


def measure(folder: Path, out: Path, *, method: dict[str, Any] | None = None, folds: int = 1, **options: Any):  # type: ignore[no-untyped-def]
    out.mkdir(exist_ok=True)
    names = ("faithfulness", "curves", "words")
    job = ChunkJob(0, 1, "", TARGETS, method or {"name": "deep_lift_shap", "references": SHUFFLES})
    settings = FaithfulnessSettings(**{"n": 6, "draws": 2, "steps": 6, **options.pop("settings", {})})
    measure_faithfulness(
        folder / "sequences.h5",
        {target: folder / f"{target}.h5" for target in TARGETS},
        {f"fold_{i}": folder / "w.pt" for i in range(folds)},
        {name: out / f"{name}.tsv" for name in names},
        job, settings, model=LINEAR, device="cpu", **options,
    )  # fmt: skip
    return tuple(pd.read_csv(out / f"{name}.tsv", sep="\t") for name in names)


@pytest.fixture(scope="module")
def measured(folder: Path, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    return measure(folder, tmp_path_factory.mktemp("out"), truth=folder / "truth.tsv")


def test_both_curves_of_a_linear_model_are_one(measured: tuple[pd.DataFrame, ...]) -> None:
    table, curves, _ = measured
    for target in TARGETS:
        own = curves[curves["target"] == target].set_index(["curve", "order"])
        for order in ("scores", "random"):
            one, two = (own.loc[(kind, order), "normalised"] for kind in ("deletion", "insertion"))
            assert one.to_numpy() == pytest.approx(two.to_numpy(), abs=1e-5)
        ends = own.groupby(level=[0, 1])["prediction"].agg(["first", "last"])
        assert ends["first"].round(4).nunique() == ends["last"].round(4).nunique() == 2
    assert (table["deletion"] - table["insertion"]).abs().max() < 1e-5
    assert table["regions"].tolist() == [6, 6]


def test_scores_with_the_wrong_sign_are_worse_than_random(measured: tuple[pd.DataFrame, ...]) -> None:
    curves = measured[1].set_index(["target", "curve", "order"])
    right, wrong = curves.loc[("a", "deletion", "scores")], curves.loc[("b", "deletion", "scores")]
    # Removing what raises the prediction lowers it; what has the wrong sign raises it.
    assert right["prediction"].iloc[2] < right["prediction"].iloc[0]
    assert wrong["prediction"].iloc[2] > wrong["prediction"].iloc[0]


def test_words_of_a_linear_model_do_not_interact(measured: tuple[pd.DataFrame, ...]) -> None:
    words = measured[2].set_index("target")
    assert words["interaction"].abs().max() < 1e-5
    assert words[["name_a", "name_b"]].iloc[0].tolist() == ["A", "B"]
    assert words["regions"].tolist() == [6, 6]
    assert words.loc["b", "effect_a"] == pytest.approx(2 * words.loc["a", "effect_a"], rel=1e-4)


def test_other_references_move_shap_and_random_weights_destroy_it(measured: tuple[pd.DataFrame, ...]) -> None:
    row = measured[0].set_index("target").loc["a"]
    assert 0.3 < row["stability"] < 0.999
    assert abs(row["randomised"]) < 0.4
    assert row[["stability_undefined", "randomised_undefined"]].tolist() == [0, 0]


@pytest.mark.parametrize("options", [{"batch_size": 3}, {"folds": 2}], ids=["batches", "equal_folds"])
def test_batches_and_equal_folds_change_nothing(
    folder: Path, measured: tuple[pd.DataFrame, ...], tmp_path: Path, options: dict[str, Any]
) -> None:
    found = measure(folder, tmp_path, truth=folder / "truth.tsv", **options)
    columns = ["deletion", "insertion", "deletion_random"]
    pd.testing.assert_frame_equal(found[0][columns], measured[0][columns], rtol=1e-4)
    pd.testing.assert_frame_equal(found[1], measured[1], rtol=1e-4, atol=1e-5)
    pd.testing.assert_frame_equal(found[2], measured[2], rtol=1e-4, atol=1e-5)


def test_the_number_of_references_is_the_one_that_was_chosen(folder: Path, tmp_path: Path) -> None:
    auto = {"name": "deep_lift_shap", "references": {**SHUFFLES, "n": "auto"}}
    chosen = {"name": "deep_lift_shap", "references": {**SHUFFLES, "n": 2}}
    (tmp_path / "references.json").write_text(json.dumps({"n": 2}))
    found = [
        measure(folder, tmp_path, method=method, settings={"randomised": False}, references=number)[0]
        for method, number in ((auto, tmp_path / "references.json"), (chosen, None))
    ]
    pd.testing.assert_frame_equal(*found)
    assert found[0]["stability"].notna().all()


def test_a_method_without_draws_is_attributed_once(folder: Path, tmp_path: Path) -> None:
    settings = {"randomised": False}
    table, _, words = measure(folder, tmp_path, method={"name": "tism"}, settings=settings)
    assert table[["stability", "randomised"]].isna().all(axis=None)
    assert words.empty


def test_the_plain_gradient_is_measured_without_correction(folder: Path, tmp_path: Path) -> None:
    settings = {"randomised": True, "seed": 2}
    plain, corrected = (
        measure(folder, tmp_path / str(raw), method={"name": "saliency"}, settings=settings, uncorrected=raw)[
            0
        ]
        for raw in (True, False)
    )
    assert plain["randomised"].iloc[0] != corrected["randomised"].iloc[0]
    assert plain["deletion"].tolist() == corrected["deletion"].tolist()  # baselines of the files are zero


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ({"name": "deep_lift_shap"}, True),
        ({"name": "deep_lift_shap", "references": {"kind": "zeros"}}, False),
        ({"name": "integrated_gradients", "references": SHUFFLES}, True),
        ({"name": "expected_gradients", "references": {"kind": "uniform"}}, True),
        ({"name": "ism", "references": SHUFFLES}, False),
    ],
)
def test_which_methods_draw(method: dict[str, Any], expected: bool) -> None:
    assert draws_references(method) == expected


def test_random_parameters_are_the_same_numbers_in_another_order() -> None:
    model = Linear()
    before = model.weight.detach().clone()
    randomise(model, 0)
    assert not torch.equal(before, model.weight)
    assert torch.equal(before.flatten().sort()[0], model.weight.detach().flatten().sort()[0])
    with pytest.raises(ModelError, match="no parameters"):
        randomise(torch.nn.ReLU(), 0)
