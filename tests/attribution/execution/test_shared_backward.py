"""Many targets by the passes of a narrow activation: fewer passes, the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attribution_models as models
import pytest
import torch
from cislex.attribution import DeepLiftShap, DinucleotideShuffle, attribute_targets
from cislex.attribution.execution import shared_backward
from cislex.errors import ModelError
from cislex.targets import LogCounts, Output, Profile, Target
from torch import Tensor, nn

N, LENGTH = 3, 40
X = models.one_hot(N, LENGTH)
REFERENCES = DinucleotideShuffle(n=3)
METHODS = {
    name: method
    for name, method in models.methods(REFERENCES, steps=5, window=(20, 26)).items()
    if name != "ism"
}


def pooled(features: int, outputs: int, *last: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    trunk = [nn.Conv1d(4, features, 7), nn.GELU(), nn.Conv1d(features, features, 5), nn.ReLU()]
    return nn.Sequential(
        *trunk, nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(features, outputs), *last
    ).eval()


class Bins(nn.Module):
    """Outputs (N, 30, 10 bins), of which targets read one bin."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Sequential(nn.Conv1d(4, 6, 7, padding=3), nn.GELU(), nn.MaxPool1d(4))
        self.head = nn.Conv1d(6, 30, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.trunk(x))


class TwoHeads(nn.Module):
    """Profile logits of many tracks, and their log counts."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Sequential(nn.Conv1d(4, 3, 7, padding=3), nn.ReLU())
        self.profile, self.counts = nn.Conv1d(3, 12, 5), nn.Linear(3, 12)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.trunk(x)
        return self.profile(h), self.counts(h.mean(-1))


class Spectrum(nn.Module):
    """Its narrowest activation holds complex numbers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Sequential(nn.Conv1d(4, 8, 7), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten())
        self.head = nn.Linear(10, 30)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.view_as_real(torch.fft.rfft(self.trunk(x))).flatten(1))


class Narrow(nn.Module):
    """Parts of models whose outputs read four numbers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Sequential(nn.Conv1d(4, 4, 7), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten())
        self.head = nn.Linear(4, 30)


class Mirrored(Narrow):
    """Rows of the narrow activation in reverse order: its first axis is not that of the sequences."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.trunk(x).flip(0))).flip(0)


class Hooked(Narrow):
    """The model itself doubles the gradient of its narrow activation."""

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.trunk(x))
        if h.requires_grad:
            h.register_hook(lambda gradient: 2 * gradient)
        return self.head(h)


def outputs(number: int, *index: int) -> list[Target]:
    return [Output((t, *index)) for t in range(number)]


#: Model, targets, and entries of the narrow activation.
SHARED: dict[str, tuple[Callable[[], nn.Module], list[Target], int]] = {
    "linear": (lambda: pooled(8, 40), outputs(40), 8),
    "softplus": (lambda: pooled(6, 40, nn.Softplus()), outputs(40), 6),
    "one bin": (Bins, outputs(30, 4), 6),
    "complex": (Spectrum, outputs(30), 8),
    "log counts": (TwoHeads, [LogCounts(head=1, index=t) for t in range(12)], 3),
}
PLAIN: dict[str, tuple[Callable[[], nn.Module], list[Target]]] = {
    "few targets": (lambda: pooled(2, 40), outputs(7)),
    "as wide": (lambda: pooled(8, 9), outputs(9)),
    "profiles": (TwoHeads, [Profile(head=0, index=t) for t in range(12)]),
    "two heads": (TwoHeads, [*(LogCounts(head=1, index=t) for t in range(12)), Profile(head=0)]),
}


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Entries of the narrow activation, for each batch that had one."""
    found: list[int] = []
    original = shared_backward._shared

    def counted(narrow: Any, *given: Any) -> Any:
        found.append(len(narrow.entries))
        return original(narrow, *given)

    monkeypatch.setattr(shared_backward, "_shared", counted)
    return found


def both(
    monkeypatch: pytest.MonkeyPatch, model: nn.Module, targets: list[Target], method: Any, **given: Any
) -> Any:
    """With the narrow activation, and with a pass per target."""
    found = attribute_targets(model, X, method, targets, device="cpu", **given)
    monkeypatch.setattr(shared_backward, "FEWEST", 10**6)
    return found, attribute_targets(model, X, method, targets, device="cpu", **given)


def assert_same(found: Any, expected: Any) -> None:
    for one, other in zip(found, expected, strict=True):
        scale = float(other.multipliers.abs().max())
        for name in ("multipliers", "baseline", "products", "delta", "reference_prediction", "prediction"):
            values, wanted = getattr(one, name), getattr(other, name)
            assert (values is None) == (wanted is None), name
            if wanted is not None:
                atol = 1e-6 if name == "delta" else 2e-6 * scale
                torch.testing.assert_close(values, wanted, rtol=1e-5, atol=atol, msg=name)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("case", SHARED)
def test_many_targets_take_a_pass_per_entry(
    case: str, name: str, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    build, targets, entries = SHARED[case]
    found, expected = both(monkeypatch, build(), targets, METHODS[name])
    assert passes
    assert set(passes) == {entries}
    assert_same(found, expected)


@pytest.mark.parametrize("case", PLAIN)
def test_targets_that_share_no_narrow_activation_take_a_pass_each(
    case: str, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    build, targets = PLAIN[case]
    found, expected = both(monkeypatch, build(), targets, DeepLiftShap(REFERENCES))
    assert not passes
    assert_same(found, expected)


@pytest.mark.parametrize("name", ["saliency", "tism"])
def test_rows_are_those_of_the_sequences(
    name: str, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    found, expected = both(monkeypatch, Mirrored().eval(), outputs(30), method=METHODS[name], batch_size=N)
    assert not passes
    assert_same(found, expected)


@pytest.mark.parametrize("name", ["saliency", "tism"])
def test_hooks_of_the_model_run_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_same(*both(monkeypatch, Hooked().eval(), outputs(30), METHODS[name]))


def test_what_cancels_in_the_sum_of_all_targets_is_read() -> None:
    """In bfloat16 the weights of neighbouring targets round to one number, and a − b and b − a cancel."""
    torch.manual_seed(0)
    leaf = torch.randn(2, 4, 10, dtype=torch.bfloat16, requires_grad=True)
    narrow = torch.tanh(leaf.mean(2))
    head = torch.randn(200, 3, dtype=torch.bfloat16)
    values = list((narrow[:, :3] @ head.T).T)
    values += [narrow[:, 3] * 2, narrow[:, 3] * -2]
    expected = [torch.autograd.grad(value.sum(), leaf, retain_graph=True)[0].float() for value in values]
    sums = torch.zeros(len(values), *leaf.shape)
    for term in shared_backward.backward_terms(values, leaf):
        term.add_to(sums)
    torch.testing.assert_close(sums, torch.stack(expected), rtol=0.05, atol=0.01)


def test_spread_over_references_is_of_each_target(passes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    build, targets, _ = SHARED["linear"]
    method = DeepLiftShap(REFERENCES)
    found, expected = both(monkeypatch, build(), targets, method, keep_spread=True)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.reference_spread, other.reference_spread)


def test_segments_are_computed_again_for_each_entry(
    passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    build, targets, entries = SHARED["one bin"]
    found = attribute_targets(build(), X, DeepLiftShap(REFERENCES), targets, checkpoint=True, device="cpu")
    assert set(passes) == {entries}
    monkeypatch.setattr(shared_backward, "FEWEST", 10**6)
    assert_same(found, attribute_targets(build(), X, DeepLiftShap(REFERENCES), targets, device="cpu"))


def test_a_target_of_many_without_gradient_is_named() -> None:
    class Half(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            total = x.sum((1, 2)).unsqueeze(-1)
            return total.expand(-1, 8) * 2, total.detach()

    targets = [*(Output(t, head=0) for t in range(8)), Output(0, head=1)]
    with pytest.raises(ModelError, match="target 8 has no gradient"):
        attribute_targets(Half(), X, METHODS["tism"], targets, device="cpu")
