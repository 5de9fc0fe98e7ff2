"""ISM equals a loop over single substitutions, on any window, in any batch."""

from __future__ import annotations

import pytest
import torch
from cislex.attribution.methods import ISM
from cislex.attribution.mutagenesis.ism import batch_multipliers, mutations
from cislex.attribution.references import Uniform, make_references
from cislex.errors import ConfigError, ModelError
from cislex.targets import Difference, Output, Profile, as_target
from torch import Tensor, nn


def one_hot(n: int, length: int, seed: int = 0) -> Tensor:
    codes = torch.randint(0, 4, (n, length), generator=torch.Generator().manual_seed(seed))
    return nn.functional.one_hot(codes, 4).transpose(1, 2).double()


def network(length: int, outputs: int = 2) -> nn.Module:
    torch.manual_seed(1)
    layers = [nn.Conv1d(4, 6, 7, padding=3), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(6, 6, 3), nn.GELU()]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(6 * (length // 2 - 2), outputs))
    return model.double().eval().requires_grad_(False)


def uniform(x: Tensor) -> Tensor:
    return make_references(Uniform(), x).to(x.dtype)


def loop(model: nn.Module, x: Tensor, column: int) -> Tensor:
    """One mutant at a time."""
    effects = torch.zeros_like(x)
    for i in range(len(x)):
        before = model(x[i : i + 1])[0, column]
        for position in range(x.shape[2]):
            for base in range(4):
                mutant = x[i : i + 1].clone()
                mutant[0, :, position] = 0
                mutant[0, base, position] = 1
                if x[i, :, position].any():
                    effects[i, base, position] = model(mutant)[0, column] - before
    return effects


@pytest.mark.parametrize("rows", [0, 1, 7, 1000])
def test_equals_the_loop_for_every_target(rows: int) -> None:
    x, model = one_hot(3, 24), network(24)
    result = batch_multipliers(model, x, uniform(x), [Output(0), Output(1)], ISM(), rows=rows)
    for column in range(2):
        torch.testing.assert_close(result.multipliers[column], loop(model, x, column))
    torch.testing.assert_close(result.prediction, model(x).T)
    torch.testing.assert_close(result.baseline, result.multipliers.mean(2))


@pytest.mark.parametrize(("start", "end"), [(0, 1), (5, 9), (23, 24), (20, None), (0, 24)])
def test_a_window_is_half_open_and_includes_the_last_base(start: int, end: int | None) -> None:
    x, model = one_hot(2, 24), network(24)
    found = batch_multipliers(model, x, uniform(x), [Output(0)], ISM(start, end)).multipliers[0]
    expected = loop(model, x, 0)
    expected[:, :, :start] = 0
    expected[:, :, 24 if end is None else end :] = 0
    torch.testing.assert_close(found, expected)
    assert (found != 0).any()


def test_unknown_bases_are_not_mutated() -> None:
    x, model = one_hot(2, 24), network(24)
    x[0, :, 3:6] = 0
    found = batch_multipliers(model, x, uniform(x), [Output(0)], ISM()).multipliers[0]
    assert (found[0, :, 3:6] == 0).all()
    torch.testing.assert_close(found, loop(model, x, 0))


def test_three_substitutions_per_base_and_never_its_own() -> None:
    x = one_hot(2, 10)
    example, position, base = mutations(x, 0, None)
    assert len(example) == 2 * 10 * 3
    assert (x[example, base, position] == 0).all()


def test_centred_ism_is_the_hypothetical_at_the_uniform_reference() -> None:
    x = one_hot(2, 12)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 1)).double().requires_grad_(False)
    result = batch_multipliers(model, x, uniform(x), [Output()], ISM())
    weights = model[1].weight.view(1, 4, 12).expand(2, -1, -1)
    hypothetical = result.multipliers[0] - result.baseline[0].unsqueeze(1)
    torch.testing.assert_close(hypothetical, weights - weights.mean(1, keepdim=True))


def test_extra_inputs_follow_their_example() -> None:
    class Controlled(nn.Module):
        def forward(self, x: Tensor, control: Tensor) -> Tensor:
            return (x[:, 0].sum(1) * control).unsqueeze(1)

    x, control = one_hot(4, 6), torch.arange(1.0, 5.0, dtype=torch.float64)
    found = batch_multipliers(Controlled(), x, uniform(x), [Output()], ISM(), (control,), rows=5)
    expected = control[:, None] * (1 - x[:, 0])
    torch.testing.assert_close(found.multipliers[0, :, 0], expected)


@pytest.mark.parametrize("weights", ["midpoint", "example"])
def test_profile_weights_are_those_of_example_and_mutant(weights: str) -> None:
    torch.manual_seed(0)
    model = nn.Conv1d(4, 1, 5).double().requires_grad_(False)
    x = one_hot(2, 12)
    found = batch_multipliers(model, x, uniform(x), [Profile(weights)], ISM(), rows=7).multipliers[0]
    mutant = x[:1].clone()
    base = int((mutant[0, :, 4] == 0).nonzero()[0])
    mutant[0, :, 4] = 0
    mutant[0, base, 4] = 1
    before, after = Profile(weights).pair(model(x[:1]), model(mutant))
    torch.testing.assert_close(found[0, base, 4], (after - before)[0])


def test_tuple_outputs_and_differences() -> None:
    inner = network(24)

    class Two(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            values = inner(x)
            return {"a": values[:, :1], "b": values[:, 1:]}

    x = one_hot(2, 24)
    target = Difference(Output(head="a"), Output(head="b"))
    found = batch_multipliers(Two(), x, uniform(x), [target], ISM(), rows=50).multipliers[0]
    torch.testing.assert_close(found, loop(inner, x, 0) - loop(inner, x, 1))


def test_a_model_without_gradients_will_do() -> None:
    class Hard(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x[:, 0].sum(1, keepdim=True) > 3).to(x.dtype)

    x = one_hot(3, 12)
    found = batch_multipliers(Hard(), x, uniform(x), [Output()], ISM()).multipliers[0]
    torch.testing.assert_close(found, loop(Hard(), x, 0))


def test_a_window_outside_of_the_sequence_is_refused() -> None:
    x, model = one_hot(1, 24), network(24)
    with pytest.raises(ConfigError, match="24 bp"):
        batch_multipliers(model, x, uniform(x), [Output(0)], ISM(0, 25))


def test_a_target_that_is_not_one_number_each_is_refused() -> None:
    x, model = one_hot(2, 24), network(24)
    with pytest.raises(ModelError, match="one number"):
        batch_multipliers(model, x, uniform(x), [as_target(lambda o: o.flatten())], ISM())
