"""Activations that are computed again in the backward: the same numbers, less memory, the model as it was."""

from __future__ import annotations

import logging
from collections.abc import Callable

import attribution_models as models
import pytest
import torch
from cislex.attribution import DeepLiftShap, DinucleotideShuffle, attribute, attribute_targets
from cislex.attribution.execution.segments import choose_segments, segmented
from cislex.errors import CompletenessError, ConfigError, UnsupportedOperationError
from cislex.targets import Output, PreActivation
from torch import Tensor, nn
from torch.nn import functional

X = models.one_hot(3, 64)
REFERENCES = DinucleotideShuffle(n=3)
METHODS = {
    name: method
    for name, method in models.methods(REFERENCES, steps=5, window=(20, 26)).items()
    if name != "ism" and getattr(method, "rule", "rescale") == "rescale"
}


class Block(nn.Module):
    """A residual block; ``writes`` begins with a ReLU in place."""

    def __init__(self, writes: bool = False) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(8, 24, 5, padding=2), nn.Conv1d(24, 8, 1)
        self.norm, self.writes = nn.BatchNorm1d(24), writes

    def forward(self, h: Tensor) -> Tensor:
        h = functional.relu(h, inplace=True) if self.writes else h
        inner = functional.gelu(self.norm(self.first(h))) * torch.sigmoid(self.first(h))
        return h + self.second(inner)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attend, self.norm = nn.MultiheadAttention(8, 2, batch_first=True), nn.LayerNorm(8)

    def forward(self, h: Tensor) -> Tensor:
        t = self.norm(h.mT)
        return h + self.attend(t, t, t, need_weights=False)[0].mT


class Tower(nn.Module):
    """Blocks, some before a pooling and some behind; the stem is none."""

    def __init__(self, block: Callable[[], nn.Module] = Block) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv1d(4, 8, 9, padding=4)
        self.blocks = nn.Sequential(block(), Block(), nn.MaxPool1d(2), Block(), Attention())
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean(2))


def chosen(model: nn.Module) -> list[str]:
    names = {module: name for name, module in model.named_modules()}
    return [names[module] for module in choose_segments(model.eval(), X[:1].float())]


def test_blocks_are_chosen_and_neither_leaves_nor_what_writes_into_its_input() -> None:
    assert chosen(Tower()) == ["blocks.0", "blocks.1", "blocks.3"]
    assert chosen(Tower(lambda: Block(writes=True))) == ["blocks.1", "blocks.3"]
    assert chosen(nn.Sequential(nn.Conv1d(4, 8, 3), nn.ReLU(), nn.Flatten())) == []


def test_a_block_whose_parts_are_no_smaller_is_chosen_itself() -> None:
    assert chosen(nn.Sequential(nn.Conv1d(4, 8, 9, padding=4), Block())) == ["1"]


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize("name", METHODS)
def test_the_numbers_are_the_same(name: str, writes: bool) -> None:
    model = Tower(lambda: Block(writes=writes))
    kinds = [type(module) for module in model.modules()]
    options = {"precision": "float64", "batch_size": 4}
    expected = attribute_targets(model, X, METHODS[name], [0, 1], **options)
    found = attribute_targets(model, X, METHODS[name], [0, 1], **options, checkpoint=True)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.hypothetical, theirs.hypothetical, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(ours.global_, theirs.global_, rtol=1e-9, atol=1e-12)
        count = 2 if writes else 3
        note = f"activations of {count} modules computed again"
        assert ours.notes == {**theirs.notes, "checkpoint": note}
    assert [type(module) for module in model.modules()] == kinds


def test_on_both_strands_and_with_spread() -> None:
    method = METHODS["deep_lift_shap"]
    for options in ({"reverse_complement": True}, {"keep_spread": True}):
        expected = attribute(Tower(), X, method, precision="float64", **options)
        found = attribute(Tower(), X, method, precision="float64", checkpoint=True, **options)
        torch.testing.assert_close(found.hypothetical, expected.hypothetical, rtol=1e-9, atol=1e-12)
        if expected.reference_spread is not None:
            torch.testing.assert_close(found.reference_spread, expected.reference_spread)


def test_less_is_kept_for_the_backward() -> None:
    """Bytes that autograd keeps between forward and backward of a gradient."""

    def kept(model: nn.Module, x: Tensor) -> int:
        total = {}

        def pack(tensor: Tensor) -> Tensor:
            total[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model(x).sum()
        return sum(total.values())

    model, x = Tower().eval().requires_grad_(False), X[:1].float().requires_grad_()
    everything = kept(model, x)
    with segmented(choose_segments(model, x.detach())):
        assert kept(model, x) < everything / 2


class Unknown(Block):
    """An operation without a rule, inside of a segment."""

    def forward(self, h: Tensor) -> Tensor:
        return super().forward(torch.special.i0(h))


class Scripted(Block):
    """A nonlinear function out of sight, inside of a segment."""

    def __init__(self) -> None:
        super().__init__()
        self.bent = torch.jit.trace(lambda h: torch.tanh(h) * 2, torch.zeros(2, 8, 64))

    def forward(self, h: Tensor) -> Tensor:
        return super().forward(self.bent(h + 0) + 0)


class Branching(Block):
    """Goes another way for every sequence, inside of a segment."""

    def forward(self, h: Tensor) -> Tensor:
        return super().forward(h * 2 if float(h.detach().sum()) > self.bound else h)

    bound = 0.0


class Detached(Block):
    def forward(self, h: Tensor) -> Tensor:
        return super().forward(h.detach() * 2)


class Leaking(Block):
    """Keeps an activation that the model reads later."""

    def forward(self, h: Tensor) -> Tensor:
        self.kept = functional.gelu(self.first(h))
        return super().forward(h)


class Reading(Tower):
    def __init__(self) -> None:
        super().__init__(Leaking)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 0.01 * self.blocks[0].kept.mean((1, 2)).unsqueeze(1)


class Ending(Tower):
    """Its last block ends in a sigmoid, before which a target is read; another gives its own buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Sequential(Block(), nn.Flatten(), nn.LazyLinear(2), nn.Sigmoid())
        self.last(torch.zeros(1, 8, 32))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.blocks(self.stem(x)))


class Registered(nn.Module):
    """A base whose subclasses have to give a key."""

    def __init_subclass__(cls, *, key: str) -> None:
        super().__init_subclass__()


class RegisteredBlock(Registered, Block, key="block"):
    pass


def test_a_class_that_no_other_can_be_made_of_is_no_segment() -> None:
    found = attribute(Tower(RegisteredBlock), X, METHODS["deep_lift_shap"], checkpoint=True)
    expected = attribute(Tower(RegisteredBlock), X, METHODS["deep_lift_shap"])
    torch.testing.assert_close(found.hypothetical, expected.hypothetical, rtol=1e-4, atol=1e-6)
    assert chosen(Tower(RegisteredBlock)) == ["blocks.1", "blocks.3"]


@pytest.mark.parametrize("kind", [Reading, Ending])
def test_modules_whose_inner_activations_are_read_outside_are_no_segments(kind: type[Tower]) -> None:
    target = PreActivation(Output(0)) if kind is Ending else Output(0)
    expected = attribute(kind(), X, METHODS["deep_lift_shap"], target=target, precision="float64")
    found = attribute(
        kind(), X, METHODS["deep_lift_shap"], target=target, precision="float64", checkpoint=True
    )
    torch.testing.assert_close(found.hypothetical, expected.hypothetical, rtol=1e-9, atol=1e-12)
    assert "computed again" in found.notes["checkpoint"]
    if kind is Reading:
        assert chosen(kind()) == ["blocks.1", "blocks.3"]


class Remembering(Block):
    """Takes an activation that is no argument."""

    def __init__(self) -> None:
        super().__init__()
        self.register_forward_pre_hook(lambda module, given: setattr(module, "before", given[0] * 2))

    def forward(self, h: Tensor) -> Tensor:
        return super().forward(h) * torch.sigmoid(self.before)


def test_a_segment_that_takes_activations_from_elsewhere_is_named() -> None:
    expected = attribute(Tower(Remembering), X, METHODS["deep_lift_shap"], precision="float64")
    assert expected.max_relative_delta is not None
    assert expected.max_relative_delta.max() < 1e-9
    with pytest.raises(UnsupportedOperationError, match="was not called with"):
        attribute(Tower(Remembering), X, METHODS["deep_lift_shap"], checkpoint=True)
    plain = attribute(Tower(Remembering), X, METHODS["saliency"], precision="float64")
    again = attribute(Tower(Remembering), X, METHODS["saliency"], precision="float64", checkpoint=True)
    torch.testing.assert_close(again.hypothetical, plain.hypothetical, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("block", "match"),
    [(Unknown, "i0"), (Branching, "decision|different paths"), (Detached, "detach")],
)
def test_what_is_wrong_inside_of_a_segment_is_named(block: type[nn.Module], match: str) -> None:
    method = METHODS["deep_lift_shap"]
    with pytest.raises(UnsupportedOperationError, match=match):
        attribute(Tower(block), X, method)
    with pytest.raises(UnsupportedOperationError, match=match):
        attribute(Tower(block), X, method, checkpoint=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_out_of_sight_inside_of_a_segment_is_found() -> None:
    model = Tower(Scripted)
    with pytest.raises(
        (UnsupportedOperationError, CompletenessError), match=r"tanh|TorchScript|out of sight"
    ):
        attribute(model, X, METHODS["deep_lift_shap"], checkpoint=True)


def test_an_operation_without_a_rule_is_integrated_there_too() -> None:
    method = DeepLiftShap(REFERENCES, unknown_ops="integrate")
    expected = attribute(Tower(Unknown), X, method, precision="float64")
    found = attribute(Tower(Unknown), X, method, precision="float64", checkpoint=True)
    torch.testing.assert_close(found.hypothetical, expected.hypothetical, rtol=1e-9, atol=1e-12)
    assert found.notes["integrated"] == expected.notes["integrated"] == "special_i0"


class Small(Tower):
    """Has no room for the activations of one pair, where none of its modules is a segment."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and x.requires_grad and type(self.blocks[0]) is Block:
            raise torch.OutOfMemoryError("CUDA out of memory (simulated)")
        return super().forward(x)


@pytest.mark.parametrize("name", METHODS)
def test_memory_that_is_too_short_for_a_pair_is_saved(name: str, caplog: pytest.LogCaptureFixture) -> None:
    expected = attribute(Tower(), X, METHODS[name], precision="float64")
    with caplog.at_level(logging.WARNING):
        found = attribute(Small(), X, METHODS[name], precision="float64")
    torch.testing.assert_close(found.hypothetical, expected.hypothetical, rtol=1e-9, atol=1e-12)
    assert "computed again" in found.notes["checkpoint"]
    assert "out of memory with a single pair: activations are computed again" in caplog.text


@pytest.mark.parametrize("rule", ["reveal_cancel", "genomics_default"])
def test_rules_of_two_streams_refuse(rule: str) -> None:
    with pytest.raises(ConfigError, match=f"checkpoint: found rule='{rule}'; expected rescale"):
        attribute(Tower(), X, DeepLiftShap(REFERENCES, rule=rule), checkpoint=True)


def test_mutants_keep_nothing_anyway() -> None:
    method = models.methods(REFERENCES, steps=5, window=(20, 26))["ism"]
    found = attribute(Tower(), X, method, precision="float64", checkpoint=True)
    expected = attribute(Tower(), X, method, precision="float64")
    torch.testing.assert_close(found.hypothetical, expected.hypothetical)
    assert "checkpoint" not in found.notes
