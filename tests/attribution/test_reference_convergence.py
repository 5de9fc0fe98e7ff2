"""How many references are enough: the numbers equal those of separate calls, and the maths of the spread."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import attribution_models as models
import cislex.attribution.reference_convergence as module
import numpy as np
import pandas as pd
import pytest
import torch
from cislex.attribution import (
    ISM,
    DeepLiftShap,
    DinucleotideShuffle,
    ExpectedGradients,
    FixedReferences,
    IntegratedGradients,
    Saliency,
    Shuffle,
    Uniform,
    attribute,
    load_references,
    make_references,
    reference_sufficiency,
    save_references,
)
from cislex.attribution.methods import Method
from cislex.errors import ConfigError, InputError
from scipy import stats
from torch import Tensor, nn

X = models.one_hot(3, 60, unknown=True)
SEEDS = [5, 1, 9]
COUNTS = (1, 2, 3, 7)


class Linear(nn.Module):
    """A sum of weights of bases, as float64."""

    def __init__(self) -> None:
        super().__init__()
        weight = torch.randn(4, 60, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weight).sum((1, 2)).unsqueeze(1)


def naive(sets: dict[int, np.ndarray], top: float) -> list[dict[str, float]]:
    """Measures of one region from contributions with disjoint sets, (sets, bases) each."""
    final = sets[max(sets)][0]
    rms = np.sqrt((final**2).mean())
    rows = []
    for count, values in sets.items():
        k = max(1, round(top * final.size))
        strongest = [set(np.argsort(-abs(v), kind="stable")[:k]) for v in (values[0], final)]
        rows.append(
            {
                "references": count,
                "sets": len(values),
                "pearson": stats.pearsonr(values[0], final).statistic,
                "spearman": stats.spearmanr(values[0], final).statistic,
                "top_overlap": len(strongest[0] & strongest[1]) / k,
                "spread": np.sqrt(values.var(0, ddof=1).mean()) / rms if len(values) > 1 else np.nan,
            }
        )
    return rows


def separate(model: nn.Module, method: Method, refs: Tensor, precision: str) -> list[dict[int, np.ndarray]]:
    """For each region the contributions of the known bases, from one ``attribute`` call per set."""
    found: list[dict[int, Any]] = [{} for _ in X]
    for count in COUNTS:
        parts = []
        for first in range(0, max(COUNTS) - count + 1, count):
            fixed = replace(method, references=FixedReferences(refs[:, first : first + count]))
            parts.append(attribute(model, X, fixed, precision=precision).contributions.sum(1))
        for region in range(len(X)):
            known = X[region].bool().any(0)
            found[region][count] = torch.stack(parts)[:, region, known].double().numpy()
    return found


@pytest.mark.parametrize(
    "method",
    [
        DeepLiftShap(DinucleotideShuffle(n=2)),
        DeepLiftShap(Shuffle(), rule="reveal_cancel"),
        IntegratedGradients(4, references=DinucleotideShuffle()),
        ExpectedGradients(DinucleotideShuffle()),
        Saliency(DinucleotideShuffle()),
        ISM(10, 20, references=Shuffle()),
    ],
    ids=lambda method: f"{method.name}-{getattr(method, 'rule', '')}",
)
def test_measures_equal_those_of_separate_calls(method: Method) -> None:
    model = models.trap("dropout")
    found = reference_sufficiency(
        model, X, method, counts=COUNTS, seeds=SEEDS, top=0.2, precision="float64", names=list("abc")
    )
    refs = make_references(replace(method.references, n=7), X, SEEDS)
    rows = [
        {"region": name, **row}
        for name, sets in zip("abc", separate(model, method, refs, "float64"), strict=True)
        for row in naive(sets, 0.2)
    ]
    expected = pd.DataFrame(rows)
    pd.testing.assert_frame_equal(found.regions[expected.columns], expected, rtol=1e-7, atol=1e-9)
    assert found.counts == COUNTS


def test_a_linear_model_in_closed_form() -> None:
    model = Linear()
    references = DinucleotideShuffle(n=7)
    found = reference_sufficiency(model, X, DeepLiftShap(references), counts=COUNTS, precision="float64")
    # The contribution of a base is its weight less the mean weight of the references' bases there.
    refs = make_references(references, X).double().numpy()
    w = model.weight.detach().numpy()
    for region, x in enumerate(X.double().numpy()):
        known = x.any(0)
        single = ((x * w).sum(0) - (refs[region] * w).sum(1))[:, known]
        sets = {k: single[: 7 // k * k].reshape(7 // k, k, -1).mean(1) for k in COUNTS}
        expected = pd.DataFrame(naive(sets, 0.05))
        rows = found.regions[found.regions["region"] == region].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows[expected.columns], expected, rtol=1e-9, atol=1e-12)
        error = np.sqrt(single.var(0, ddof=1).mean() / (single.mean(0) ** 2).mean() / np.array(COUNTS))
        np.testing.assert_allclose(rows["expected_error"], error)


def test_references_that_are_all_the_same_are_always_enough() -> None:
    given = models.one_hot(3, 60, seed=4).unsqueeze(1).repeat(1, 7, 1, 1)
    found = reference_sufficiency(
        Linear(), X, DeepLiftShap(FixedReferences(given)), counts=COUNTS, precision="float64"
    )
    for name in ("pearson", "spearman", "top_overlap", "expected_pearson"):
        np.testing.assert_allclose(found.regions[name], 1)
    np.testing.assert_allclose(found.regions["expected_error"], 0, atol=1e-12)
    np.testing.assert_allclose(found.regions["spread"].dropna(), 0, atol=1e-12)
    assert found.enough(0.999) == 1


def test_expectations_come_true_for_known_truth() -> None:
    rng = np.random.default_rng(0)
    truth, errors, correlations, expected = rng.normal(size=400), [], [], []
    for _ in range(60):
        # What all bases share, here a large shift of each reference, spoils no correlation.
        singles = truth + 3 * rng.normal(size=(50, 400)) + 5 * rng.normal(size=(50, 1))
        sets = {k: singles[: 50 // k * k].reshape(50 // k, k, -1).mean(1) for k in (1, 5, 50)}
        rows = module._measure(sets, 0.05)
        expected.append([row["expected_pearson"] for row in rows])
        correlations.append([np.corrcoef(sets[k][0], truth)[0, 1] for k in sets])
        rms = np.sqrt((sets[50][0] ** 2).mean())
        errors.append([row["expected_error"] * rms for row in rows])
    np.testing.assert_allclose(np.mean(expected, 0), np.mean(correlations, 0), atol=0.015)
    np.testing.assert_allclose(np.mean(errors, 0), np.sqrt((9 + 25) / np.array([1, 5, 50])), rtol=0.03)


def test_saved_references_serve(tmp_path: Path) -> None:
    save_references(tmp_path / "r.h5", DinucleotideShuffle(n=7), X, seeds=SEEDS)
    model, options = models.trap("dropout"), {"counts": (1, 3), "seeds": SEEDS}
    saved = DeepLiftShap(load_references(tmp_path / "r.h5"))
    one = reference_sufficiency(model, X, saved, **options)
    other = reference_sufficiency(model, X, DeepLiftShap(DinucleotideShuffle()), **options)
    pd.testing.assert_frame_equal(one.regions, other.regions)


def test_blocks_and_extra_inputs_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Controlled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = models.trap("dropout")

        def forward(self, x: Tensor, control: Tensor) -> Tensor:
            return self.model(x) * control

    method = DeepLiftShap(DinucleotideShuffle())
    control = torch.tensor([[1.0], [2.0], [-3.0]])
    options: dict[str, Any] = {"counts": (1, 4), "precision": "float64", "extra_inputs": (control,)}
    whole = reference_sufficiency(Controlled(), X, method, **options)
    monkeypatch.setattr(module, "_BLOCK", 1)
    pd.testing.assert_frame_equal(
        reference_sufficiency(Controlled(), X, method, **options).regions, whole.regions
    )
    plain = reference_sufficiency(Controlled().model, X, method, counts=(1, 4), precision="float64")
    pd.testing.assert_frame_equal(plain.regions, whole.regions, rtol=1e-9)


def test_without_any_contribution_nothing_is_claimed() -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum((1, 2)).unsqueeze(1) * 0

    found = reference_sufficiency(Constant(), X, DeepLiftShap(DinucleotideShuffle()), counts=(1, 3))
    assert found.regions[["pearson", "spearman", "spread", "expected_error"]].isna().all(axis=None)
    assert found.enough() is None
    found.figure()


def test_the_table_and_the_figure_are_written(tmp_path: Path) -> None:
    found = reference_sufficiency(Linear(), X, DeepLiftShap(DinucleotideShuffle()), counts=(4, 1, 2, 2))
    assert found.counts == (1, 2, 4)
    table = found.table
    assert table["references"].tolist() == [1, 2, 4]
    assert table["sets"].tolist() == [4, 2, 1]
    assert table["regions"].tolist() == [3, 3, 3]
    assert table["pearson_median"].iloc[-1] == pytest.approx(1)
    one = found.regions.loc[found.regions["references"] == 2, "pearson"]
    assert table.loc[1, ["pearson_min", "pearson_median", "pearson_max"]].tolist() == sorted(one)
    assert found.enough(2.0) is None
    for name in ("a.svg", "b.svg", "a.png", "a.pdf", "a.tsv"):
        found.save(tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "a.tsv", sep="\t"), table, rtol=1e-5)
    axes = found.figure().axes
    assert [axis.get_xlabel() for axis in axes] == ["references"] * 3
    assert [len(axis.lines) for axis in axes] == [3, 2, 1]
    np.testing.assert_allclose(axes[0].lines[0].get_ydata(), table["pearson_median"])
    with pytest.raises(ConfigError, match="expected svg, png, pdf or tsv"):
        found.save(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("references", "options", "error", "text"),
    [
        (Uniform(), {}, ConfigError, "a single, fixed reference"),
        (DinucleotideShuffle(), {"counts": (5,)}, ConfigError, "at least two whole numbers"),
        (DinucleotideShuffle(), {"counts": (0, 5)}, ConfigError, "from 1 on"),
        (DinucleotideShuffle(), {"counts": (1.5, 5)}, ConfigError, "whole numbers"),
        (FixedReferences(torch.zeros(3, 4, 60)), {}, ConfigError, "gives 3 references per sequence"),
        (DinucleotideShuffle(), {"top": 0}, ConfigError, "top: found 0"),
        (DinucleotideShuffle(), {"names": ["a"]}, InputError, "names: found 1, expected 3"),
    ],
)
def test_what_cannot_be_compared_is_named(
    references: Any, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        reference_sufficiency(Linear(), X, DeepLiftShap(references), **options)
    with pytest.raises(InputError, match="at least one region"):
        reference_sufficiency(Linear(), X[:0], DeepLiftShap())
