"""State spaces, long convolutions, attention variants and models of both strands: exact in float32."""

from __future__ import annotations

import copy
from collections.abc import Callable

import attribution_models as models
import long_context_blocks as blocks
import pytest
import torch
from cislex.attribution import Attribution, DeepLiftShap, DinucleotideShuffle, FixedReferences, attribute
from cislex.targets import Output
from torch import nn

X = models.one_hot(3, blocks.LENGTH)
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    **{name: lambda block=block: blocks.Network(block()) for name, block in blocks.BLOCKS.items()},  # type: ignore[misc]
    **blocks.EQUIVARIANT,
}


def network(name: str) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[name]().eval()


def multipliers(model: nn.Module, precision: str) -> Attribution:
    method = DeepLiftShap(DinucleotideShuffle(n=4))
    model = copy.deepcopy(model).double() if precision == "float64" else model
    return attribute(model, X, method, target=Output(1), device="cpu", precision=precision)


@pytest.mark.parametrize("name", NETWORKS)
def test_multipliers_are_exact_in_float32(name: str) -> None:
    model = network(name)
    single, double = multipliers(model, "float32"), multipliers(model, "float64")
    assert double.max_relative_delta is not None
    assert double.max_relative_delta.max() < 1e-10
    assert "pairing" not in single.notes
    scale = double.multipliers.abs().max()
    assert (single.multipliers - double.multipliers).abs().max() < 1e-4 * scale
    assert (double.multipliers.std(0) > 1e-3 * scale).any(), "depends on the sequence"


@pytest.mark.parametrize("name", blocks.EQUIVARIANT)
def test_both_strands_of_an_equivariant_model_have_the_same_attributions(name: str) -> None:
    model = network(name)
    references = torch.stack([models.one_hot(4, blocks.LENGTH, seed=seed) for seed in (1, 2, 3)])
    turned = [item.flip(-2, -1) for item in (X, references)]
    found, other = (
        attribute(model, x, DeepLiftShap(FixedReferences(refs)), target=Output(1), device="cpu")
        for x, refs in ((X, references), turned)
    )
    torch.testing.assert_close(found.prediction, other.prediction, rtol=1e-5, atol=1e-6)
    scale = float(found.multipliers.abs().max())
    torch.testing.assert_close(found.multipliers, other.multipliers.flip(-2, -1), rtol=0, atol=2e-5 * scale)
