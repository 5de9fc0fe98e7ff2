"""Everything a user can get wrong: the message names the argument, what was found and what was expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attribution_models as models
import numpy as np
import pytest
import torch
import torch.utils.checkpoint
from cislex.attribution import (
    ISM,
    TISM,
    DeepLiftShap,
    DinucleotideShuffle,
    ExpectedGradients,
    FixedReferences,
    IntegratedGradients,
    Saliency,
    Shuffle,
    Uniform,
    attribute,
    attribute_batches,
    attribute_targets,
)
from cislex.errors import ConfigError, InputError, ModelError, UnsupportedOperationError
from cislex.targets import Difference, Output, Profile, Slice, from_config
from torch import Tensor, nn

N, L = 4, 60
X = models.one_hot(N, L)
REFERENCES = DinucleotideShuffle(n=2)
METHODS: dict[str, Any] = {
    "saliency": Saliency(),
    "tism": TISM(),
    "integrated_gradients": IntegratedGradients(steps=3, references=REFERENCES),
    "expected_gradients": ExpectedGradients(REFERENCES),
    "ism": ISM(start=20, end=23),
    "deep_lift_shap": DeepLiftShap(REFERENCES),
}
ALL = pytest.mark.parametrize("name", METHODS)


class Counting(nn.Module):
    """Counts its calls: what is wrong with the input must be found before the first one."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = models.trap("gate")
        self.calls = 0

    def forward(self, x: Tensor, *extra: Tensor) -> Tensor:
        self.calls += 1
        return self.inner(x)


def changed(position: tuple[int, ...], value: float) -> Tensor:
    x = X.float()
    x[position] = value
    return x


SEQUENCES: dict[str, tuple[Any, str]] = {
    "axis order": (
        X.transpose(1, 2),
        r"sequences: found shape \(4, 60, 4\), expected \(N, 4, L\).*\(N, L, 4\)",
    ),
    "axis order of numpy": (X.numpy().transpose(0, 2, 1), r"looks like \(N, L, 4\): transpose"),
    "axis order of four bases": (
        torch.eye(4)[[0, 0, 1, 2]].repeat(2, 1, 1),
        r"several bases in one column.*looks like \(N, L, 4\)",
    ),
    "one sequence": (X[0], r"sequences: found shape \(4, 60\).*sequences\[None\]"),
    "four axes": (X[None], r"sequences: found shape \(1, 4, 4, 60\), expected \(N, 4, L\)"),
    "five channels": (torch.zeros(2, 5, 60), r"sequences: found shape \(2, 5, 60\)"),
    "no length": (X[:, :, :0], "sequences: found length 0"),
    "two bases": (changed((1, slice(None), 7), 1.0), "several bases in one column at example 1 position 7"),
    "a probability": (changed((2, 0, 9), 0.4), "not one-hot at example 2 position 9: the first column is"),
    "a negative": (changed((3, 0, 0), -1.0), "not one-hot at example 3 position 0"),
    "scaled": (X.float() * 2, r"not one-hot at example 0 position 0.*\(240 in all\)"),
    "nan": (changed((1, 2, 5), float("nan")), "found NaN at example 1 position 5"),
    "infinite": (changed((0, 2, 5), float("inf")), "not one-hot at example 0 position 5"),
    "complex": (X.to(torch.complex64), "sequences: found dtype torch.complex64, expected uint8 or floating"),
    "text": ("ACGT", r"sequences: found str, expected an array \(N, 4, L\)"),
    "texts": (["ACGT", "ACGT"], r"sequences: found list, expected an array \(N, 4, L\)"),
    "nothing": (None, r"sequences: found NoneType, expected an array \(N, 4, L\)"),
    "ragged": ([[[1.0]], [[1.0, 0.0]]], "sequences: found list whose rows have several shapes"),
    "objects": (np.array([{}, {}], dtype=object), "sequences: found ndarray of object, expected an array"),
}


@pytest.mark.parametrize("case", SEQUENCES)
@pytest.mark.parametrize("call", [attribute, attribute_targets, attribute_batches])
def test_sequences(case: str, call: Callable[..., Any]) -> None:
    sequences, message = SEQUENCES[case]
    model = Counting()
    target = {} if call is attribute else {"targets": [0]}
    with pytest.raises(InputError, match=message):
        call(model, sequences, METHODS["deep_lift_shap"], **target)
    assert model.calls == 0


OPTIONS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "too few seeds": ({"seeds": [1, 2]}, InputError, r"seeds: found shape \(2,\), expected \(4,\)"),
    "seeds of two axes": ({"seeds": np.zeros((4, 2), int)}, InputError, r"seeds: found shape \(4, 2\)"),
    "one seed": ({"seeds": 7}, InputError, r"seeds: found shape \(\), expected \(4,\)"),
    "fractional seeds": ({"seeds": [0.5] * N}, InputError, "seeds: found dtype float64, expected whole"),
    "too few controls": (
        {"extra_inputs": (torch.zeros(3, 1),)},
        InputError,
        r"extra_inputs\[0\]: found shape \(3, 1\), expected \(4, …\)",
    ),
    "a scalar control": (
        {"extra_inputs": (torch.zeros(4), torch.tensor(1.0))},
        InputError,
        r"extra_inputs\[1\]: found shape \(\)",
    ),
    "a control that is not finite": (
        {"extra_inputs": (torch.tensor([1.0, 2.0, float("nan"), 4.0]),)},
        InputError,
        r"extra_inputs\[0\]: found values that are not finite, examples 2",
    ),
    "a control of text": ({"extra_inputs": (["a"] * N,)}, InputError, r"extra_inputs\[0\]: found list"),
    "no pair": ({"batch_size": 0}, ConfigError, "batch_size: found 0, expected at least 1 pair"),
    "half a pair": ({"batch_size": 2.5}, ConfigError, "batch_size: found 2.5, expected a whole number"),
    "a precision": ({"precision": "float16"}, ConfigError, "precision: found 'float16', expected one of"),
    "a device": ({"device": "tpu9"}, ConfigError, "device: found 'tpu9', expected"),
    "a target by name": ({"target": "reb1"}, ConfigError, "target: found str, expected a Target"),
    "a target that is a truth": ({"target": True}, ConfigError, "target: found bool"),
}
if not torch.cuda.is_available():
    OPTIONS["a GPU that is not there"] = ({"device": "cuda"}, ConfigError, "torch sees no CUDA device")


@pytest.mark.parametrize("case", OPTIONS)
@ALL
def test_options(name: str, case: str) -> None:
    options, error, message = OPTIONS[case]
    model = Counting()
    with pytest.raises(error, match=message):
        attribute(model, X, METHODS[name], **options)
    assert model.calls == 0


def test_no_target_and_no_method() -> None:
    model = Counting()
    with pytest.raises(ConfigError, match="targets: found none"):
        attribute_targets(model, X, METHODS["saliency"], [])
    with pytest.raises(ConfigError, match="method: found str, expected one of Saliency"):
        attribute(model, X, "deep_lift_shap")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"method: found type.*write DeepLiftShap\(\)"):
        attribute(model, X, DeepLiftShap)  # type: ignore[arg-type]
    assert model.calls == 0


@pytest.mark.parametrize(
    "model", [object(), None, "model.pt", nn.Linear, {"weight": torch.zeros(1)}], ids=str
)
def test_not_a_model(model: Any) -> None:
    with pytest.raises(ModelError, match=r"model: found .*, expected a torch\.nn\.Module"):
        attribute(model, X, METHODS["saliency"])


REFERENCES_THAT_DO_NOT_FIT: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "another length": (
        lambda: FixedReferences(torch.zeros(2, 4, 50)),
        InputError,
        r"found shape \(2, 4, 50\)",
    ),
    "another number": (lambda: FixedReferences(torch.zeros(3, 2, 4, L)), InputError, r"\(3, 2, 4, 60\) for"),
    "axis order": (lambda: FixedReferences(torch.zeros(2, L, 4)), InputError, r"expected \(N, R, 4, L\)"),
    "not finite": (
        lambda: FixedReferences(torch.full((1, 4, L), float("nan"))),
        InputError,
        "not finite",
    ),
    "a function that returns another shape": (
        lambda: lambda x: torch.zeros(len(x), 4, x.shape[2]),
        InputError,
        r"the callable returned shape \(1, 4, 60\)",
    ),
    "a function that returns nan": (
        lambda: lambda x: torch.full((len(x), 1, 4, x.shape[2]), float("nan")),
        InputError,
        "the callable returned values that are not finite",
    ),
    "a window outside": (
        lambda: DinucleotideShuffle(start=10, end=80),
        InputError,
        "expected 0 <= start < end",
    ),
    "none": (lambda: Shuffle(n=0), ConfigError, "found n=0, expected at least 1"),
    "three frequencies": (lambda: Uniform((0.3, 0.3, 0.4)), ConfigError, "four numbers"),  # type: ignore[arg-type]
    "text": (lambda: "zeros", ConfigError, "references: found str"),
}


@pytest.mark.parametrize("case", REFERENCES_THAT_DO_NOT_FIT)
@pytest.mark.parametrize("kind", [DeepLiftShap, IntegratedGradients, ExpectedGradients, Saliency, ISM])
def test_references(kind: Any, case: str) -> None:
    make, error, message = REFERENCES_THAT_DO_NOT_FIT[case]
    model = Counting()
    with pytest.raises(error, match=message):
        attribute(model, X, kind(references=make()))
    assert model.calls == 0


SETTINGS: dict[str, tuple[Callable[[], Any], str]] = {
    "steps": (lambda: IntegratedGradients(steps=0), "steps: found 0, expected at least 1"),
    "quadrature": (lambda: IntegratedGradients(rule="simpson"), "found 'simpson', expected one of gauss"),
    "tolerance": (lambda: IntegratedGradients(tolerance=0), "tolerance: found 0, expected above 0"),
    "window": (lambda: ISM(5, 5), "found start=5, end=5; expected 0 <= start < end"),
    "rule": (lambda: DeepLiftShap(rule="linear"), "found 'linear', expected one of rescale"),
    "unknown operations": (lambda: DeepLiftShap(unknown_ops="skip"), "found 'skip', expected one of error"),
    "profile weights": (lambda: Profile("flat"), "found 'flat'; use midpoint, example or secant"),
    "reduction": (lambda: Slice(reduction="max"), "found 'max', expected sum or mean"),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_are_refused_when_they_are_made(case: str) -> None:
    make, message = SETTINGS[case]
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_window_of_ism_outside_of_the_sequences() -> None:
    with pytest.raises(ConfigError, match="found start=50, end=70 for sequences of 60 bp"):
        attribute(Counting(), X, ISM(50, 70))


TARGETS: dict[str, tuple[Any, str]] = {
    "an index": (
        7,
        r"target Output\(index=7, head=None\): index 7 is out of range; the output has shape \(N, 2\).*"
        "choose 0 to 1",
    ),
    "an index of a part": (
        Difference(Output(0), Output(9)),
        r"target Difference\(a=Output\(index=0.*\): index 9 is out of range",
    ),
    "a negative index": (Output(-3), "index -3 is out of range"),
    "too many axes": (Output((0, 0)), "out of range"),
    "a head of a single output": (
        Output(0, head=1),
        r"target Output\(index=0, head=1\): found head 1, but the model returns one Tensor",
    ),
    "a slice": (
        Slice(1, 5),
        r"target Slice\(start=1, stop=5.*: Slice\(1, 5, None\) is out of range; the last axis of shape .* "
        "has 2 entries, 0 to 1",
    ),
    "a slice from before the first": (Slice(-5), r"Slice\(-5, None, None\) is out of range"),
    "not a scalar": (lambda output: output, "expected one number per example"),
    "a sum over examples": (lambda output: output.sum(), "expected one number per example"),
    "too few": (lambda output: output[:1, 0], r"expected one number each, shape \(2,\)"),
    "a python number": (lambda output: 1.0, "returned float; expected one number per example"),
    "whole numbers": (lambda output: output.argmax(1), "returned torch.int64"),
    "not a number": (lambda output: output[:, 0] * float("nan"), "the model returns nan for examples 0"),
}


@pytest.mark.parametrize("case", TARGETS)
@ALL
def test_targets_fail_on_the_first_sequence(name: str, case: str) -> None:
    target, message = TARGETS[case]
    model = Counting()
    with pytest.raises(ModelError, match=message):
        attribute(model, X, METHODS[name], target=target)
    assert model.calls == 1


def test_of_several_targets_the_wrong_one_is_named() -> None:
    with pytest.raises(ModelError, match=r"^target Output\(index=2, head=None\): index 2 is out of range"):
        attribute_targets(Counting(), X, METHODS["deep_lift_shap"], [Output(0), Output(2), Output(1)])
    named = from_config({"kind": "output", "index": 2}, name="liver")
    assert named == Output(2)
    with pytest.raises(ModelError, match=r"^target 'liver', Output\(index=2, head=None\): index 2 is out"):
        attribute_targets(Counting(), X, METHODS["deep_lift_shap"], [Output(0), named])


class Fixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(4 * 50, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x.flatten(1))


class Asserting(Fixed):
    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2] == 50, "expected 50 bp"
        return super().forward(x)


class ChannelsLast(nn.Module):
    """Takes (N, L, 4), as Keras models do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.transpose(1, 2)).mean(2)


@pytest.mark.parametrize("kind", [Fixed, Asserting, ChannelsLast])
@ALL
def test_a_shape_that_the_model_cannot_take(name: str, kind: Any) -> None:
    with pytest.raises(ModelError, match=r"cannot take sequences of shape \(N, 4, 60\).*input length"):
        attribute(kind(), X, METHODS[name])


@ALL
def test_inputs_that_the_model_does_not_take_or_misses(name: str) -> None:
    with pytest.raises(ModelError, match=r"with 1 extra inputs: TypeError"):
        attribute(Fixed(), X[:, :, :50], METHODS[name], extra_inputs=(torch.zeros(N),))

    class Controlled(nn.Module):
        def forward(self, x: Tensor, control: Tensor) -> Tensor:
            return x.sum((1, 2))[:, None] + control[:, None]

    with pytest.raises(ModelError, match=r"TypeError.*check the input length and extra_inputs"):
        attribute(Controlled(), X, METHODS[name])


class NotANumber(nn.Module):
    """NaN for the last sequence only, whose first base is unknown."""

    def forward(self, x: Tensor) -> Tensor:
        h = torch.sigmoid(x[:, :, 1:] - 0.3).mean((1, 2))
        return (h * torch.where(x[:, :, 0].sum(1) > 0, 1.0, float("nan"))).unsqueeze(1)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "deep_lift_shap"])
@pytest.mark.parametrize("batch_size", [None, 2])
def test_a_model_that_returns_nan_later(name: str, batch_size: int | None) -> None:
    x = X.clone()
    x[3, :, 0] = 0
    with pytest.raises(ModelError, match=r"returns nan for examples 3; .*check the weights"):
        attribute(NotANumber(), x, METHODS[name], batch_size=batch_size)


def test_a_reference_for_which_the_model_returns_nan() -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.log(x.sum((1, 2)) - 1).unsqueeze(1)

    with pytest.raises(ModelError, match="for a reference the model returns"):
        attribute(Broken(), X, DeepLiftShap(FixedReferences(torch.zeros(1, 4, L))))


RANDOM = [name for name in METHODS if name != "deep_lift_shap"]


@pytest.mark.parametrize("name", RANDOM)
def test_a_model_with_random_numbers(name: str) -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(4, 8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.dropout(self.conv(x)).mean((1, 2))[:, None]  # training=True is the default

    with pytest.raises(ModelError, match=r"for the same sequence; .*training=self\.training"):
        attribute(Noisy(), X, METHODS[name])


@pytest.mark.parametrize("name", RANDOM)
def test_a_model_that_mixes_the_examples_of_a_batch(name: str) -> None:
    model = nn.Sequential(
        nn.Conv1d(4, 8, 3), nn.BatchNorm1d(8, track_running_stats=False), nn.ReLU(), nn.AdaptiveAvgPool1d(1)
    )
    with pytest.raises(ModelError, match=r"in another batch; .*track_running_stats"):
        attribute(nn.Sequential(model, nn.Flatten()), X, METHODS[name])


def test_the_engine_names_the_operation_that_is_random_or_mixes() -> None:
    class Noisy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.dropout(torch.relu(x)).mean((1, 2))[:, None]

    with pytest.raises(UnsupportedOperationError, match="random: dropout is active"):
        attribute(Noisy(), X, METHODS["deep_lift_shap"])
    mixing = nn.Sequential(nn.Conv1d(4, 2, 3), nn.BatchNorm1d(2, track_running_stats=False), nn.Flatten())
    with pytest.raises(UnsupportedOperationError, match="statistics of the batch"):
        attribute(mixing, X, METHODS["deep_lift_shap"])


@pytest.mark.parametrize("name", ["saliency", "integrated_gradients", "expected_gradients", "tism"])
def test_a_model_without_gradient(name: str) -> None:
    class Detached(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.detach().sum((1, 2))[:, None]

    with pytest.raises(ModelError, match=r"no gradient with respect to the sequence.*ISM works"):
        attribute(Detached(), X, METHODS[name])
    attribute(Detached(), X, METHODS["ism"])


def test_options_are_checked_when_batches_are_asked_for_not_when_they_are_read() -> None:
    with pytest.raises(InputError, match="seeds"):
        attribute_batches(Counting(), X, METHODS["saliency"], [0], seeds=[1])


def test_a_model_that_differentiates_in_its_forward_is_told_so() -> None:
    class Own(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = x.mean(2).relu()
            return h * torch.autograd.grad(h.sum(), x)[0].sum((1, 2))[:, None]

    with pytest.raises(ModelError, match=r"take torch\.autograd\.grad out of forward"):
        attribute(Own(), torch.eye(4).repeat(2, 1, 1), TISM())


class Residual(nn.Module):
    """Three blocks whose outputs are added by ``add``."""

    def __init__(self, add: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.add = nn.Conv1d(4, 6, 5), add
        self.blocks = nn.ModuleList(nn.Sequential(nn.Conv1d(6, 6, 3, padding=1), nn.GELU()) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        for block in self.blocks:
            h = self.add(block, h)
        return h.mean(2)


def written(block: nn.Module, h: Tensor) -> Tensor:
    h += block(h)
    return h


def reentrant(block: nn.Module, h: Tensor) -> Tensor:
    return h + torch.utils.checkpoint.checkpoint(block, h, use_reentrant=True)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("name", [name for name in METHODS if name != "ism"])
def test_a_model_that_gradients_do_not_pass_is_told_why(name: str) -> None:
    with pytest.raises(ModelError, match=r"what to do: make a new tensor, h = h \+ block\(h\)"):
        attribute(Residual(written), X, METHODS[name])
    with pytest.raises(ModelError, match=r"checkpoint in training|carries no attribution"):
        attribute(Residual(reentrant), X, METHODS[name])
    attribute(Residual(written), X, METHODS["ism"])
