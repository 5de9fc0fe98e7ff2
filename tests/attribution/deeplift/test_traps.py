"""The trap table: on every model, attributions sum to f(x) − f(r), both computed apart from the engine."""

from __future__ import annotations

import attribution_models as models
import pytest
import torch
from cislex.attribution import (
    DeepLiftShap,
    DinucleotideShuffle,
    FixedReferences,
    attribute_targets,
    make_references,
)

SEQUENCES = models.one_hot(3, 60, unknown=True)
REFERENCES = make_references(DinucleotideShuffle(n=5), SEQUENCES)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", models.TRAPS)
def test_attributions_sum_to_the_difference_of_predictions(name: str, precision: str) -> None:
    dtype = getattr(torch, precision)
    model = models.trap(name).to(dtype)
    x, refs = SEQUENCES.to(dtype), REFERENCES.to(dtype)
    with torch.no_grad():
        fx = model.double()(x.double())
        fr = model(refs.double().flatten(0, 1)).reshape(3, 5, -1)
    model.to(dtype)
    results = attribute_targets(
        model, SEQUENCES, DeepLiftShap(FixedReferences(REFERENCES)), [0, 1], precision=precision, batch_size=7
    )
    tolerance = 1e-4 if precision == "float32" else 1e-9
    for t, result in enumerate(results):
        assert result.reference_prediction is not None
        assert result.delta is not None
        difference = fx[:, None, t] - fr[:, :, t]
        scale = torch.maximum(fx[:, None, t].abs(), fr[:, :, t].abs())
        scale = torch.maximum(difference.abs(), 1e-2 * scale)
        attributed = result.delta + (result.prediction[:, None] - result.reference_prediction).double()
        assert ((attributed - difference).abs() / scale).max() <= tolerance
        total = result.contributions.double().sum((1, 2))
        assert ((total - difference.mean(1)).abs() / scale.mean(1)).max() <= tolerance
