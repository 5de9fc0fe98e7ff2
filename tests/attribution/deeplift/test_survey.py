"""The survey names every operation between sequence and target, and the rule that it gets."""

from __future__ import annotations

import torch
from cislex.attribution import DeepLiftShap
from cislex.attribution.deeplift.survey import survey_operations
from torch import Tensor, nn
from torch.nn import functional


class Mixed(nn.Module):
    """A bit of everything, and one operation without a rule."""

    def __init__(self, *, strange: bool) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 8, 5)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 2)
        self.strange = strange

    def forward(self, x: Tensor) -> Tensor:
        h = functional.max_pool1d(functional.relu(self.conv(x)), 3)
        h = (h * torch.sigmoid(h)).transpose(1, 2)
        h = self.attention(h, h, h)[0]
        if self.strange:
            h = torch.special.i0(h)
        return self.head(h.mean(1))


def sequences() -> Tensor:
    return functional.one_hot(torch.randint(0, 4, (3, 60)), 4).transpose(1, 2).to(torch.uint8)


def test_every_operation_and_its_rule() -> None:
    rules = {(use.operation, use.rule) for use in survey_operations(Mixed(strange=False), sequences())}
    assert ("conv1d", "linear: exact") in rules
    assert ("relu", "slope between example and reference") in rules
    assert ("sigmoid", "slope between example and reference") in rules
    assert ("mul", "product: midpoint") in rules
    assert ("max_pool1d", "maximum: routed to both argmaxima") in rules
    assert ("multi_head_attention_forward", "composite: by its parts") in rules
    assert ("softmax", "path: integrated") in rules
    assert not any(rule.startswith("UNKNOWN") for _, rule in rules)


def test_unknown_operation_comes_first_with_its_place() -> None:
    first = survey_operations(Mixed(strange=True), sequences())[0]
    assert (first.operation, first.rule, first.known) == ("special_i0", "UNKNOWN", False)
    assert "test_survey.py:" in first.where
    assert first.shapes == "(2, 18, 8)"


def test_unknown_operation_is_known_when_integrated_or_given() -> None:
    model = Mixed(strange=True)
    for method, rule in (
        (DeepLiftShap(unknown_ops="integrate"), "path: integrated"),
        (DeepLiftShap(rules={"special_i0": "elementwise"}), "given by the user"),
    ):
        uses = {use.operation: use for use in survey_operations(model, sequences(), method)}
        assert uses["special_i0"].rule == rule
        assert all(use.known for use in uses.values())


def test_random_operations_are_unknown() -> None:
    class Random(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.dropout(x, 0.5, training=True).sum((1, 2)).unsqueeze(1)

    first = survey_operations(Random(), sequences())[0]
    assert first.operation == "dropout"
    assert first.rule.startswith("UNKNOWN: random")


def test_model_and_its_gradients_are_left_alone() -> None:
    model = Mixed(strange=False).train()
    survey_operations(model, sequences())
    assert model.training
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
