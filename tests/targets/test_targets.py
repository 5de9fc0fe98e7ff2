"""Targets select the number they say, and name what is wrong where they cannot."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from cislex.attribution.execution.pre_activation import expose_pre_activation
from cislex.errors import ConfigError, ModelError
from cislex.targets import (
    Difference,
    LogCounts,
    Output,
    PreActivation,
    Profile,
    Slice,
    Sum,
    as_target,
    bind_target,
    from_config,
)
from torch import Tensor, nn


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


TASKS = numbers(3, 5)
TRACKS = numbers(3, 2, 40)


@pytest.mark.parametrize(
    ("target", "output", "expected"),
    [
        (Output(2), TASKS, TASKS[:, 2]),
        (Output(-1), TASKS, TASKS[:, 4]),
        (Output(), TASKS[:, 0], TASKS[:, 0]),
        (Output((1, 7)), TRACKS, TRACKS[:, 1, 7]),
        (Output(1, head=1), (TRACKS, TASKS), TASKS[:, 1]),
        (Output(1, head="b"), {"a": TRACKS, "b": TASKS}, TASKS[:, 1]),
        (Output(1), [TASKS], TASKS[:, 1]),
        (Slice(1, 3), TASKS, TASKS[:, 1] + TASKS[:, 2]),
        (Slice(10, 20, index=1), TRACKS, TRACKS[:, 1, 10:20].sum(1)),
        (Slice(10, 20, reduction="mean"), TRACKS, TRACKS[:, :, 10:20].mean((1, 2))),
        (Slice(), TRACKS, TRACKS.sum((1, 2))),
        (Slice(-4, step=2, index=0), TRACKS, TRACKS[:, 0, 36] + TRACKS[:, 0, 38]),
        (LogCounts(), (TRACKS, TASKS[:, :1]), TASKS[:, 0]),
        (LogCounts(), TASKS[:, :1], TASKS[:, 0]),
        (LogCounts(), TASKS[:, 0], TASKS[:, 0]),
        (LogCounts(index=3), (TRACKS, TASKS), TASKS[:, 3]),
        (Difference(Output(0), Output(3)), TASKS, TASKS[:, 0] - TASKS[:, 3]),
        (Sum((Output(0), Output(3)), (2.0, -0.5)), TASKS, 2 * TASKS[:, 0] - 0.5 * TASKS[:, 3]),
        (Difference(LogCounts(), Slice(head=0)), (TRACKS, TASKS[:, :1]), TASKS[:, 0] - TRACKS.sum((1, 2))),
        (as_target(2), TASKS, TASKS[:, 2]),
        (as_target(lambda output: output[:, 1] ** 2), TASKS, TASKS[:, 1] ** 2),
        (as_target(lambda output: output[:, 1:2]), TASKS, TASKS[:, 1]),
    ],
)
def test_a_target_is_the_number_it_says(target: Any, output: Any, expected: Tensor) -> None:
    found = target(output)
    assert found.shape == (3,)
    torch.testing.assert_close(found, expected)
    assert getattr(target, "pair", None) is None


@pytest.mark.parametrize(
    ("target", "output", "message"),
    [
        (Output(5), TASKS, r"index 5 is out of range.*\(N, 5\)"),
        (Output(1), TASKS[:, 0], "index 1 is out of range"),
        (Output((0, 40)), TRACKS, "out of range"),
        (Output((0, 0, 0)), TRACKS, "out of range"),
        (Output(0), TRACKS, "one index per axis"),
        (Output((2, 0)), TRACKS, "choose 0 to 1, 0 to 39"),
        (Slice(-41, index=0), TRACKS, r"has 40 entries, 0 to 39"),
        (Slice(0, -41, index=0), TRACKS, r"Slice\(0, -41, None\) is out of range"),
        (Slice(41, index=0), TRACKS, r"out of range"),
        (Output(0), (TASKS, TASKS), "returns 2 outputs"),
        (Output(0, head=2), (TASKS, TASKS), "0 to 1"),
        (Output(0, head="c"), {"a": TASKS, "b": TASKS}, "set head to one of a, b"),
        (Output(0), {"a": TASKS, "b": TASKS}, "set head"),
        (Output(0, head=1), TASKS, "one Tensor"),
        (Output(0), TASKS.long(), "floating point"),
        (Output(0), "text", "floating point"),
        (Slice(3, 6), TASKS, "5 entries"),
        (Slice(7), TASKS, "5 entries"),
        (Slice(), TASKS[:, 0], "0 entries"),
        (LogCounts(), TASKS, "choose a column"),
        (LogCounts(index=9), (TRACKS, TASKS), "index 9"),
        (Profile(), TASKS[:, 0], "positions"),
        (as_target(lambda output: output), TASKS, "one number per example"),
        (as_target(lambda output: output.sum()), TASKS, "one number per example"),
        (as_target(lambda output: 1.0), TASKS, "found float|returned float"),
    ],
)
def test_what_is_not_there_is_a_named_error(target: Any, output: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        target(output)


def weights_of(logits: Tensor) -> Tensor:
    return torch.softmax(logits.flatten(1), 1)


def centred(logits: Tensor) -> Tensor:
    flat = logits.flatten(1)
    return flat - flat.mean(1, keepdim=True)


@pytest.mark.parametrize("kind", ["midpoint", "example"])
def test_profile_weights_are_constants_of_the_pair(kind: str) -> None:
    x, r = numbers(3, 2, 40), numbers(6, 2, 40)[3:].requires_grad_()
    w = weights_of(x) if kind == "example" else 0.5 * (weights_of(x) + weights_of(r.detach()))
    f_x, f_r = Profile(kind).pair((x, None), (r, None))
    torch.testing.assert_close(f_x, (w * centred(x)).sum(1))
    torch.testing.assert_close(f_r, (w * centred(r)).sum(1))
    (gradient,) = torch.autograd.grad(f_r.sum(), r)
    torch.testing.assert_close(gradient.flatten(1), w - w.mean(1, keepdim=True))


def test_a_secant_profile_has_no_constants() -> None:
    x = numbers(3, 40).requires_grad_()
    target = Profile("secant")
    assert getattr(target, "pair", None) is None
    assert getattr(target, "bind", None) is None
    expected = (weights_of(x) * centred(x)).sum(1)
    torch.testing.assert_close(target(x), expected)
    (ours,) = torch.autograd.grad(target(x).sum(), x)
    (theirs,) = torch.autograd.grad(expected.sum(), x)
    torch.testing.assert_close(ours, theirs)


def test_a_profile_alone_weighs_by_itself() -> None:
    x = numbers(3, 40).requires_grad_()
    value = Profile()(x)
    torch.testing.assert_close(value, (weights_of(x) * centred(x)).sum(1))
    (gradient,) = torch.autograd.grad(value.sum(), x)
    w = weights_of(x).detach()
    torch.testing.assert_close(gradient, w - 1 / 40)


def test_sums_and_differences_carry_the_pair() -> None:
    x, r = (TRACKS, TASKS[:, :1]), (TRACKS.flip(0), TASKS[:, 1:2])
    profile, counts = Profile(), LogCounts()
    for target in (Difference(profile, counts), Sum((profile, counts), (1.0, -1.0))):
        for found, a, b in zip(target.pair(x, r), profile.pair(x, r), (x, r), strict=True):
            torch.testing.assert_close(found, a - counts(b))
    assert bind_target(counts, x, r) is counts


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"kind": "output", "index": 1}, Output(1)),
        ({"kind": "output", "index": [1, 7], "head": "x"}, Output((1, 7), head="x")),
        ({"kind": "slice", "start": 2, "stop": 5, "reduction": "mean"}, Slice(2, 5, reduction="mean")),
        ({"kind": "log_counts"}, LogCounts()),
        ({"kind": "slice", "start": 2, "axis": 1}, Slice(2, axis=1)),
        ({"kind": "output", "index": 3, "pre_activation": True}, PreActivation(Output(3))),
        ({"kind": "output", "index": 3, "pre_activation": False}, Output(3)),
        ({"kind": "profile", "pre_activation": "head.act"}, PreActivation(Profile(), "head.act")),
        ({"kind": "profile", "weights": "secant"}, Profile("secant")),
        (
            {"kind": "difference", "a": {"kind": "output", "index": 1}, "b": {"kind": "output"}},
            Difference(Output(1), Output(0)),
        ),
        (
            {"kind": "sum", "parts": [{"kind": "output"}, {"kind": "log_counts"}], "weights": [1, 2]},
            Sum((Output(0), LogCounts()), (1, 2)),
        ),
    ],
)
def test_settings_make_targets(settings: dict[str, Any], expected: Any) -> None:
    assert from_config(settings) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "outputs"}, "expected one of output"),
        ({"kind": "output", "idx": 1}, "idx; its keys are index, head"),
        ({"kind": "difference", "a": {"kind": "output"}}, "its keys are a, b"),
        ({"kind": "profile", "weights": "no"}, "midpoint"),
        ({"kind": "slice", "reduction": "max"}, "sum or mean"),
        ({"kind": "sum", "parts": []}, "one per part"),
        ({"kind": "output", "pre_activation": 3}, "found pre_activation 3"),
        ({"kind": "sum", "parts": [{"kind": "output"}], "pre_activation": True}, "to its parts"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_config(settings)


def test_only_targets_indices_and_functions_are_targets() -> None:
    with pytest.raises(ConfigError, match="found str"):
        as_target("0")  # type: ignore[arg-type]


class Heads(nn.Module):
    """Activations as modules, functions, in place and followed by a squeeze; one output without any."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.dense = nn.Linear(12, 4)
        self.gate = nn.Sigmoid()
        self.rectify = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        logits = self.dense(x.flatten(1))
        return {
            "gate": self.gate(logits),
            "softmax": torch.softmax(logits, 1),
            "in_place": torch.sigmoid_(logits * 1.0),
            "rectified": self.rectify(logits * 1.0),
            "squeezed": torch.sigmoid(logits[:, :1]).squeeze(1),
            "plain": logits,
        }


SEQUENCE = torch.rand(3, 4, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("head", ["gate", "softmax", "in_place", "rectified"])
def test_before_the_last_activation_are_the_logits(head: str) -> None:
    model, target = Heads(), PreActivation(Output(2, head=head))
    found = target(expose_pre_activation(model, [target])(SEQUENCE))
    torch.testing.assert_close(found, model.dense(SEQUENCE.flatten(1))[:, 2])
    assert target.module is None


@pytest.mark.parametrize("module", ["gate", "rectify"])
def test_before_a_module_is_what_goes_into_it(module: str) -> None:
    """Also of a module that writes into its argument."""
    model, target = Heads(), PreActivation(Output(1), module)
    found = target(expose_pre_activation(model, [target])(SEQUENCE))
    torch.testing.assert_close(found, model.dense(SEQUENCE.flatten(1))[:, 1])
    assert not model.gate._forward_pre_hooks
    assert not model.rectify._forward_pre_hooks


def test_what_only_moves_values_may_follow_the_activation() -> None:
    model, target = Heads(), PreActivation(Output(head="squeezed"))
    torch.testing.assert_close(
        target(expose_pre_activation(model, [target])(SEQUENCE)), model.dense(SEQUENCE.flatten(1))[:, 0]
    )


def test_an_opened_model_says_the_same_to_all_other_targets() -> None:
    model = Heads()
    before = PreActivation(Output(0, head="gate"))
    others: list[Any] = [
        Output(0, head="gate"),
        Slice(0, 2, head="softmax"),
        as_target(lambda output: output["plain"][:, 1]),
        Difference(Output(0, head="gate"), Output(1, head="plain")),
    ]
    opened = expose_pre_activation(model, [before, *others])
    for target in others:
        torch.testing.assert_close(target(opened(SEQUENCE)), target(model(SEQUENCE)))
    assert expose_pre_activation(model, others) is model


def test_sums_and_differences_open_the_model_for_their_parts() -> None:
    model = Heads()
    target = Difference(PreActivation(Output(0), "gate"), Sum((PreActivation(Output(1, head="softmax")),)))
    logits = model.dense(SEQUENCE.flatten(1))
    torch.testing.assert_close(
        target(expose_pre_activation(model, [target])(SEQUENCE)), logits[:, 0] - logits[:, 1]
    )


def test_pairs_before_an_activation_are_pairs_of_what_is_there() -> None:
    inner = Profile()
    target = PreActivation(inner, "gate")
    model = expose_pre_activation(Heads(), [target])
    x, r = model(SEQUENCE), model(SEQUENCE.flip(2))
    found = target.pair(x, r)
    expected = inner.pair(*(model.model.dense(values.flatten(1)) for values in (SEQUENCE, SEQUENCE.flip(2))))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert getattr(PreActivation(Output(0)), "pair", None) is None


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (PreActivation(Output(0), "sigmoid"), r"no module 'sigmoid' in the model.*gate"),
        (PreActivation(Output(0, head="plain")), "head 'plain' is NoneType"),
        (PreActivation(Output(9, head="gate")), "index 9 is out of range"),
    ],
)
def test_what_cannot_be_opened_is_named(target: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        target(expose_pre_activation(Heads(), [target])(SEQUENCE))


def test_a_model_without_an_activation_and_one_that_was_not_opened_are_named() -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(12, 1))
    with pytest.raises(ModelError, match=r"not an activation.*name the module"):
        expose_pre_activation(plain, [PreActivation()])(SEQUENCE)
    with pytest.raises(ModelError, match="expose it first"):
        PreActivation()(plain(SEQUENCE))
    unused = Heads()
    unused.extra = nn.Linear(1, 1)
    with pytest.raises(ModelError, match="module 'extra' was not called"):
        expose_pre_activation(unused, [PreActivation(Output(0), "extra")])(SEQUENCE)


@pytest.mark.parametrize("target", [Slice(10, 20, index=1, axis=1), Profile(index=1, axis=1)])
def test_an_axis_may_be_any_but_the_first(target: Any) -> None:
    """Outputs (N, positions, tracks) instead of (N, tracks, positions)."""
    usual = type(target)(**{**vars(target), "axis": -1})
    torch.testing.assert_close(target(TRACKS.transpose(1, 2)), usual(TRACKS))
    with pytest.raises(ModelError, match=r"axis 3 is out of range"):
        type(target)(**{**vars(target), "axis": 3})(TRACKS)
    with pytest.raises(ModelError, match="the first axis holds the examples"):
        type(target)(**{**vars(target), "axis": 0})(TRACKS)


def test_a_slice_goes_forward() -> None:
    with pytest.raises(ConfigError, match=r"Slice\.step: found -1, expected 1 or more"):
        Slice(step=-1)
