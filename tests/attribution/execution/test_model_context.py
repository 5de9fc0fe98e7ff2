"""What each precision keeps, for every method, against double precision; and what full float32 costs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import attribution_models as models
import pytest
import torch
from cislex.attribution import (
    DeepLiftShap,
    DinucleotideShuffle,
    IntegratedGradients,
    attribute,
    attribute_batches,
    attribute_positions,
    attribute_targets,
    block_epistasis,
    deletions,
    epistasis,
    insertions,
    ism_distances,
    position_batches,
    reference_sufficiency,
    scrambles,
    substitutions,
)
from cislex.attribution.deeplift.residuals import operation_residuals
from cislex.attribution.deeplift.survey import survey_operations
from cislex.attribution.execution.model_context import TF32_PAIRS, prepare_model, tf32_notice
from cislex.errors import ConfigError

X = models.one_hot(3, 60)
REFERENCES = DinucleotideShuffle(n=3)
METHODS = models.methods(REFERENCES, steps=10, window=(10, 40))
#: Largest error, as a fraction of the largest score (in bfloat16 another column may win a max-pool).
TOLERANCES = {"float32": 1e-4, "tf32": 1e-4, "bfloat16": 0.2}


#: Not ISM in bfloat16, of which a test below says more.
PAIRS = [(n, p) for n in METHODS for p in ("float32", "tf32", "bfloat16") if (n, p) != ("ism", "bfloat16")]


@pytest.mark.parametrize(("name", "precision"), PAIRS)
@pytest.mark.parametrize("model", ["residual_dilated", "max_pool"])
def test_scores_are_those_of_double_precision(name: str, precision: str, model: str) -> None:
    truth = attribute(models.trap(model), X, METHODS[name], precision="float64")
    found = attribute(models.trap(model), X, METHODS[name], precision=precision)
    scale = truth.hypothetical.abs().max()
    assert found.hypothetical.dtype == torch.float32
    assert truth.hypothetical.dtype == torch.float64
    assert (found.hypothetical - truth.hypothetical).abs().max() <= TOLERANCES[precision] * scale
    torch.testing.assert_close(
        found.prediction.double(), truth.prediction, rtol=TOLERANCES[precision], atol=TOLERANCES[precision]
    )
    assert found.notes["precision"] == precision


@pytest.mark.parametrize(("precision", "limit"), [("float64", 1e-9), ("float32", 1e-4), ("bfloat16", 0.5)])
def test_the_delta_tells_what_a_precision_costs(precision: str, limit: float) -> None:
    found = attribute(models.trap("max_pool"), X, METHODS["deep_lift_shap"], precision=precision)
    assert found.max_relative_delta is not None
    assert found.delta is not None
    assert found.delta.dtype == torch.float64
    assert found.max_relative_delta.max() <= limit


def test_ism_in_bfloat16_says_that_small_effects_are_noise(caplog: pytest.LogCaptureFixture) -> None:
    model = models.trap("residual_dilated")
    with caplog.at_level(logging.WARNING):
        found = attribute(model, X, METHODS["ism"], precision="bfloat16")
    assert "ISM in bfloat16" in caplog.text
    assert "precision float32" in caplog.text
    assert "noise" in found.notes["rounding"]
    truth = attribute(model, X, METHODS["ism"], precision="float64")
    assert "rounding" not in truth.notes
    error = (found.multipliers - truth.multipliers).abs().amax((1, 2))
    # What the note says: two predictions of 8 binary digits each.
    assert (error <= 4 * 2**-8 * truth.prediction.abs()).all()
    assert error.max() > 1e-4 * truth.multipliers.abs().max()


def test_adaptive_steps_in_bfloat16_say_that_they_do_not_converge() -> None:
    method = IntegratedGradients(steps=4, rule="adaptive", references=REFERENCES, tolerance=1e-4)
    found = attribute(models.trap("gate"), X, method, precision="bfloat16")
    assert int(found.notes["integrated_gradients.not_converged"]) > 0
    assert found.notes["integrated_gradients.pairs"] == "9"
    assert float(found.notes["integrated_gradients.largest_delta"]) > 1e-4


def test_an_unknown_precision_is_named() -> None:
    with pytest.raises(ConfigError, match="found 'half', expected one of float32, tf32, bfloat16, float64"):
        attribute(models.trap("gate"), X, METHODS["saliency"], precision="half")


def _timer(full: float, reduced: float) -> Callable[..., float]:
    """A clock that reads the flags, as the time on a GPU would depend on them."""

    def seconds(function: Callable[[], Any]) -> float:
        function()
        return reduced if torch.backends.cuda.matmul.allow_tf32 else full

    return seconds


def test_full_float32_that_costs_much_is_worth_a_word() -> None:
    prepared = prepare_model(models.trap("gate"), "cpu", "float32")
    notice = tf32_notice(prepared, X, (), pairs=TF32_PAIRS, timer=_timer(0.6, 0.1))
    assert notice is not None
    assert "6.0 times" in notice
    assert "precision='tf32'" in notice


@pytest.mark.parametrize(
    ("precision", "pairs", "full"),
    [("float32", TF32_PAIRS, 0.4), ("float32", TF32_PAIRS - 1, 9.0), ("tf32", TF32_PAIRS, 9.0)],
)
def test_otherwise_nothing_is_said(precision: str, pairs: int, full: float) -> None:
    prepared = prepare_model(models.trap("gate"), "cpu", precision)
    assert tf32_notice(prepared, X, (), pairs=pairs, timer=_timer(full, 0.1)) is None


def test_on_a_cpu_nothing_is_measured() -> None:
    class Never(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise AssertionError("measured")

    assert tf32_notice(prepare_model(Never(), "cpu", "float32"), X, (), pairs=10 * TF32_PAIRS) is None


SHAP = DeepLiftShap(REFERENCES)
#: Every public call, and the numbers that it returns; those of a profile want one.
CALLS: dict[str, Callable[..., tuple[Any, Any]]] = {
    "attribute": lambda m, **o: _noted(attribute(m, X, SHAP, **o), "hypothetical"),
    "attribute_targets": lambda m, **o: _noted(attribute_targets(m, X, SHAP, [1], **o)[0], "hypothetical"),
    "attribute_batches": lambda m, **o: _noted(
        next(iter(attribute_batches(m, X, SHAP, [1], **o)))[1][0], "hypothetical"
    ),
    "no sequences": lambda m, **o: _noted(attribute(m, X[:0], SHAP, **o), "hypothetical"),
    "attribute_positions": lambda m, **o: _noted(
        attribute_positions(m.conv, X, SHAP, index=0, positions=[7], **o), "contributions"
    ),
    "position_batches": lambda m, **o: _noted(
        next(iter(position_batches(m.conv, X, SHAP, index=0, positions=[7], **o))).attributions[0],
        "hypothetical",
    ),
    "scrambles": lambda m, **o: _noted(scrambles(m, X, [[3, 20]], n=2, **o), "effects"),
    "substitutions": lambda m, **o: _noted(substitutions(m, X, "ACGT", [9], **o), "effects"),
    "insertions": lambda m, **o: _noted(insertions(m, X, "ACGT", [9], **o), "effects"),
    "deletions": lambda m, **o: _noted(deletions(m, X, [[9, 12]], **o), "effects"),
    "epistasis": lambda m, **o: _noted(epistasis(m, X, [9, 12], **o), "epistasis"),
    "block_epistasis": lambda m, **o: _noted(block_epistasis(m, X, [[3, 9], [20, 30]], n=2, **o), "draws"),
    "ism_distances": lambda m, **o: _noted(ism_distances(m, X, start=3, end=9, **o), "distance"),
    "reference_sufficiency": lambda m, **o: (
        reference_sufficiency(m, X, SHAP, counts=(1, 2), **o).table.to_numpy(float),
        None,
    ),
    "operation_residuals": lambda m, **o: ([i.residual for i in operation_residuals(m, X, SHAP, **o)], None),
}


def _noted(result: Any, name: str) -> tuple[Any, Any]:
    return getattr(result, name), result.notes["precision"]


@pytest.mark.parametrize("call", CALLS)
def test_a_model_of_float64_stays_in_it(call: str) -> None:
    model = models.trap("functional_relu").double()
    found, said = CALLS[call](model)
    wanted, _ = CALLS[call](model, precision="float64")
    torch.testing.assert_close(found, wanted, rtol=0, atol=0, equal_nan=True)
    assert said in ("float64", None)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_half_precision_is_for_those_who_ask(dtype: torch.dtype) -> None:
    model = models.trap("functional_relu").to(dtype)
    found = attribute(model, X, SHAP)
    assert found.notes["precision"] == "float32"
    wanted = attribute(model.float(), X, SHAP, precision="float32")
    torch.testing.assert_close(found.hypothetical, wanted.hypothetical)
    assert attribute(model.to(dtype), X, SHAP, precision="bfloat16").notes["precision"] == "bfloat16"


def test_a_buffer_of_float64_makes_no_model_of_float64() -> None:
    model = models.trap("functional_relu")
    model.weights = model.weights.double()
    assert prepare_model(model, "cpu").precision == "float32"
    assert prepare_model(torch.nn.Identity(), "cpu").precision == "float32"


def test_a_survey_takes_a_model_of_float64_with_further_inputs() -> None:
    class Two(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = models.trap("functional_relu")

        def forward(self, x: torch.Tensor, extra: torch.Tensor) -> Any:
            return self.inner(x) + extra

    uses = survey_operations(Two().double(), X, extra_inputs=(torch.ones(len(X), 1),))
    assert "relu" in [use.operation for use in uses]
