"""Path-rule operations on one-dimensional tensors, and norms of vectors that are zero at both ends."""

from __future__ import annotations

from collections.abc import Callable

import attribution_models as models
import pytest
import torch
from cislex.attribution import DeepLiftShap, DinucleotideShuffle, attribute
from torch import Tensor, nn

X = models.one_hot(3, 40)
METHOD = DeepLiftShap(DinucleotideShuffle(n=3))


class Heads(nn.Module):
    """Convolution whose first channel is dead behind a ReLU; ``end`` makes the output of it."""

    def __init__(self, end: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.conv = nn.Conv1d(4, 5, 7)
        self.head = nn.Linear(5, 3)
        self.end = end
        with torch.no_grad():
            self.conv.bias[0] = -100

    def forward(self, x: Tensor) -> Tensor:
        return self.end(torch.relu(self.conv(x)))


ZEROS: dict[str, Callable[[Tensor], Tensor]] = {
    "normalize": lambda h: nn.functional.normalize(h, dim=2).sum((1, 2)),
    "norm": lambda h: h.norm(dim=2).sum(1),
    "vector_norm": lambda h: torch.linalg.vector_norm(h, dim=2).sum(1),
    "std": lambda h: h.std(2).sum(1),
    "sqrt": lambda h: torch.sqrt(h).sum((1, 2)),
    "pow": lambda h: (h**0.5).sum((1, 2)),
}


@pytest.mark.parametrize("name", ZEROS)
def test_multipliers_of_zero_vectors_are_finite_and_complete(name: str) -> None:
    result = attribute(Heads(ZEROS[name]), X, METHOD, target=lambda output: output)
    assert torch.isfinite(result.hypothetical).all()
    assert result.max_relative_delta is not None
    assert result.max_relative_delta.max() < 1e-4


ENDS: dict[str, Callable[[Tensor], Tensor]] = {
    "logsumexp": lambda o: torch.logsumexp(o, 1),
    "prod": lambda o: o.prod(1),
    "det": lambda o: torch.det(o[:, :2, None] * o[:, None, 1:] + torch.eye(2).to(o)),
    "logaddexp": lambda o: torch.logaddexp(o[:, 0], o[:, 1]),
    "hypot": lambda o: torch.hypot(o[:, 0], o[:, 1]),
    "xlogy": lambda o: torch.xlogy(o[:, 0].exp(), o[:, 1].exp()),
    "atan2": lambda o: torch.atan2(o[:, 0].exp(), o[:, 1].exp()),
}


@pytest.mark.parametrize("name", ENDS)
def test_operations_with_one_dimensional_outputs_are_complete(name: str) -> None:
    model = Heads(lambda h: h.mean(2)).double()
    whole = nn.Sequential(model, model.head)
    result = attribute(whole, X.double(), METHOD, target=ENDS[name])
    assert result.max_relative_delta is not None
    assert result.max_relative_delta.max() < 1e-6
