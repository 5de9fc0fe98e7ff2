"""The algebra of named outputs, against its formulas written out."""

from __future__ import annotations

import attribution_models as models
import pytest
import torch
from cislex.attribution import Attribution
from cislex.attribution.result import relative_delta
from cislex.errors import ConfigError
from hypothesis import given, settings
from hypothesis import strategies as st


def result(seed: int, references: int = 3) -> tuple[Attribution, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = models.one_hot(2, 7, seed=seed)
    x[0, :, 3] = 0
    refs = torch.stack([models.one_hot(2, 7, seed=seed + 10 + k) for k in range(references)], 1).double()
    refs[0, :, :, 3] = 0
    m = torch.randn(2, references, 4, 7, generator=generator, dtype=torch.float64)
    found = Attribution(
        multipliers=m.mean(1),
        baseline=(refs * m).sum(2).mean(1),
        sequences=x,
        prediction=torch.zeros(2),
        products=(refs * m).mean(1),
    )
    return found, m, refs


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_named_outputs_follow_their_formulas(seed: int) -> None:
    found, m, refs = result(seed)
    x = found.sequences.double()
    hypothetical = (m - (refs * m).sum(2, keepdim=True)).mean(1)
    torch.testing.assert_close(found.hypothetical, hypothetical)
    torch.testing.assert_close(found.contributions, x * hypothetical)
    torch.testing.assert_close(found.global_, ((x.unsqueeze(1) - refs) * m).mean(1))
    torch.testing.assert_close(found.global_.sum((1, 2)), found.contributions.sum((1, 2)))
    mean = m.mean(1)
    torch.testing.assert_close(found.corrected, mean - mean.sum(1, keepdim=True) / 4)
    torch.testing.assert_close(found.mean_effect, x * found.corrected * 4 / 3)
    for i in range(2):
        for p in range(7):
            base = x[i, :, p].nonzero().flatten().tolist()
            expected = mean[i, :, p] - mean[i, base[0], p] if base else torch.zeros(4, dtype=torch.float64)
            torch.testing.assert_close(found.tism[i, :, p], expected)


def test_mean_effect_is_the_mean_of_the_three_mutations_turned() -> None:
    found, _, _ = result(1)
    mutations = -found.tism.sum(1) / 3
    torch.testing.assert_close(found.mean_effect.sum(1), mutations)


def test_corrected_is_hypothetical_at_the_uniform_reference() -> None:
    found, _, _ = result(2)
    uniform = Attribution(
        multipliers=found.multipliers,
        baseline=found.multipliers.mean(1),
        sequences=found.sequences,
        prediction=found.prediction,
    )
    torch.testing.assert_close(uniform.hypothetical, found.corrected)


def test_global_says_when_it_was_not_kept() -> None:
    found, _, _ = result(3)
    plain = Attribution(found.multipliers, found.baseline, found.sequences, found.prediction)
    with pytest.raises(ConfigError, match="keep_global=True"):
        _ = plain.global_
    assert plain.max_relative_delta is None


def test_relative_delta_divides_by_the_largest_of_three() -> None:
    fx, fr = torch.tensor([10.0]), torch.tensor([[4.0, 10.0]])
    delta = torch.tensor([[0.6, 0.01]])
    assert relative_delta(delta, fx, fr).item() == pytest.approx(0.1)
    assert relative_delta(delta[:, 1:], fx, fr[:, 1:]).item() == pytest.approx(0.1)
    assert relative_delta(torch.tensor([[1e-9]]), torch.zeros(1), torch.zeros(1, 1)).item() == pytest.approx(
        0.1
    )
