"""Targets: the one number per example of a model's output to attribute.

A target is called with the model's output for B rows and returns (B,). Outputs may be a tensor, or a tuple,
list or dict of tensors of which ``head`` chooses one.
What holds for all of them is in ``base``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cislex.errors import ConfigError, ModelError
from cislex.targets.base import Bound, PairTarget, Target, bind_target, named, parts_of, read_target
from cislex.targets.combined import Difference, Sum
from cislex.targets.outputs import axis_last, caught, describe, entries_of, entry, plain_output, select_head
from cislex.targets.scaled import Log, Ratio
from cislex.targets.tracks import Bins, Tracks

__all__ = [
    "Bins",
    "Bound",
    "Custom",
    "Difference",
    "Log",
    "LogCounts",
    "Output",
    "PreActivation",
    "Profile",
    "Ratio",
    "Slice",
    "Sum",
    "Target",
    "Tracks",
    "as_target",
    "bind_target",
    "from_config",
    "opened_at",
    "read_target",
]


@dataclass(frozen=True)
class Output(Target):
    """One entry of the output.

    Parameters
    ----------
    index
        Entry of the second axis, or one entry per axis after the first (track, position).
    head
        Which output, of a model that returns several.

    Examples
    --------
    >>> output = torch.arange(12.0).reshape(1, 3, 4)
    >>> Output((2, 1))(output)  # track 2, position 1
    tensor([9.])
    """

    index: int | tuple[int, ...] = 0
    head: int | str | None = None

    def __call__(self, output: Any) -> Tensor:
        """Return (B,) entries."""
        values = select_head(output, self.head)
        if values.ndim == 1 and self.index == 0:
            return values
        chosen = entry(values, self.index)
        if chosen.ndim != 1:
            raise ModelError(
                f"target: Output({self.index}) of shape {tuple(values.shape)} leaves {tuple(chosen.shape)}; "
                "expected one number per example; give one index per axis, or use Slice to sum or average"
            )
        return chosen


@dataclass(frozen=True)
class Slice(Target):
    """Sum or mean of a stretch of one axis of the output, such as positions.

    Parameters
    ----------
    start, stop, step
        Entries of that axis, half-open, as of a Python slice.
    index
        Entries of the other axes, such as the track; None reduces over them as well. Where there is one other
        axis, several entries of it, over which is reduced too.
    head
        Which output, of a model that returns several.
    reduction
        ``sum`` or ``mean``.
    axis
        The axis that is cut; 1 for outputs (N, positions, tracks). The first axis holds the examples.

    Examples
    --------
    >>> Slice(20, 40)(profile_model(sequences)).shape  # the sum over 20 positions
    torch.Size([4])
    """

    start: int | None = None
    stop: int | None = None
    step: int | None = None
    index: int | tuple[int, ...] | None = None
    head: int | str | None = None
    reduction: str = "sum"
    axis: int = -1

    def __post_init__(self) -> None:
        if self.reduction not in ("sum", "mean"):
            raise ConfigError(f"Slice.reduction: found {self.reduction!r}, expected sum or mean")
        if self.step is not None and self.step < 1:
            raise ConfigError(f"Slice.step: found {self.step}, expected 1 or more")

    def __call__(self, output: Any) -> Tensor:
        """Return (B,) sums or means."""
        values = axis_last(select_head(output, self.head), self.axis)
        if self.index is not None:
            values = entries_of(values, self.index) if values.ndim == 3 else entry(values, self.index)
        size = values.shape[-1] if values.ndim > 1 else 0
        entries = range(*slice(self.start, self.stop, self.step).indices(size))
        ends = [end for end in (self.start, self.stop) if end is not None]
        if not len(entries) or not all(-size <= end <= size for end in ends):
            raise ModelError(
                f"target: Slice({self.start}, {self.stop}, {self.step}) is out of range; "
                f"the last axis of shape {tuple(values.shape)} has {size} entries, 0 to {size - 1}"
                + ("" if self.axis == -1 else f" (axis {self.axis} moved there)")
            )
        chosen = values[..., self.start : self.stop : self.step].flatten(1)
        return chosen.sum(1) if self.reduction == "sum" else chosen.mean(1)


@dataclass(frozen=True)
class LogCounts(Target):
    """The log counts of a BPNet-like model.

    Parameters
    ----------
    index
        Column, where counts are predicted for several tracks.
    head
        Which output; by default the second of a pair (profile, counts), or the only one.

    Examples
    --------
    >>> profile, counts = torch.zeros(2, 1, 50), torch.tensor([[1.5], [2.5]])
    >>> LogCounts()((profile, counts))
    tensor([1.5000, 2.5000])
    """

    index: int | None = None
    head: int | str | None = None

    def __call__(self, output: Any) -> Tensor:
        """Return (B,) log counts."""
        output = plain_output(output)
        pair = isinstance(output, tuple | list) and len(output) == 2
        values = select_head(output, 1 if self.head is None and pair else self.head)
        if self.index is not None:
            return Output(self.index)(values)
        if values.numel() != len(values):
            raise ModelError(
                f"target: LogCounts of shape {tuple(values.shape)}, expected one number per example; "
                "choose a column with index"
            )
        return values.reshape(len(values))


@dataclass(frozen=True)
class Profile(PairTarget):
    """Weighted sum of mean-subtracted profile logits, Σ w·z̄.

    The softmax and the mean run over everything after the first axis that ``index`` leaves (both strands of a
    BPNet together). Called alone, as for a prediction or a gradient, the weights are softmax(z̄) of the row.

    Parameters
    ----------
    weights
        ``midpoint``, ½(softmax(z̄_x) + softmax(z̄_r)) held constant for each pair, what chrombpnet 1.x
        effectively computes; ``example``, softmax(z̄_x) held constant; ``secant``: nothing is constant, the
        softmax and the product are part of what is attributed.
    index
        Track; None takes all.
    head
        Which output; by default the first of several.
    axis
        The axis of positions; 1 for outputs (N, positions, tracks).

    Examples
    --------
    >>> result = attribute(profile_model, sequences, DeepLiftShap(), target=Profile())
    >>> result.contributions.shape
    torch.Size([4, 4, 60])
    """

    weights: str = "midpoint"
    index: int | tuple[int, ...] | None = None
    head: int | str | None = None
    axis: int = -1

    def __post_init__(self) -> None:
        if self.weights not in ("midpoint", "example", "secant"):
            raise ConfigError(f"Profile.weights: found {self.weights!r}; use midpoint, example or secant")

    def centred(self, output: Any) -> Tensor:
        """z̄, (B, positions): logits minus their mean."""
        several = isinstance(plain_output(output), tuple | list)
        values = axis_last(select_head(output, 0 if self.head is None and several else self.head), self.axis)
        if self.index is not None:
            values = entry(values, self.index)
        if values.ndim < 2:
            raise ModelError(
                f"target: Profile of shape {tuple(values.shape)}, expected (N, positions) or (N, tracks, …)"
            )
        logits = values.flatten(1)
        return logits - logits.mean(1, keepdim=True)

    def __call__(self, output: Any) -> Tensor:
        """Return (B,) weighted sums."""
        centred = self.centred(output)
        weights = torch.softmax(centred, 1)
        return ((weights if self.weights == "secant" else weights.detach()) * centred).sum(1)

    def _pair_dependent(self) -> bool:
        return self.weights != "secant"

    def _bind(self, output_x: Any, output_r: Any) -> Bound:
        with torch.no_grad():
            weights = torch.softmax(self.centred(output_x), 1)
            if self.weights == "midpoint":
                weights = 0.5 * (weights + torch.softmax(self.centred(output_r), 1))
        return lambda output: (weights * self.centred(output)).sum(1)


@dataclass(frozen=True)
class PreActivation(PairTarget):
    """A target computed from the input of the final activation, such as the logits before a sigmoid.

    A saturated output has no gradient, its logit has. Attribution opens the model for it.

    Parameters
    ----------
    target
        What is read there.
    module
        Name of the module whose input is meant, as in ``model.named_modules()`` (of several calls the last);
        None for the activation function that made the output, be it a module or not.

    Examples
    --------
    >>> classifier = torch.nn.Sequential(model, torch.nn.Sigmoid())
    >>> result = attribute(classifier, sequences, TISM(), target=PreActivation(Output(0)))
    >>> torch.allclose(result.prediction, model(sequences)[:, 0], atol=1e-6)
    True
    """

    target: Target = Output()
    module: str | None = None

    def __call__(self, output: Any) -> Tensor:
        """Return the target's (B,) values before the activation."""
        return self.target(caught(output, self.module or ""))

    def _pair_dependent(self) -> bool:
        return hasattr(self.target, "bind")

    def _bind(self, output_x: Any, output_r: Any) -> Bound:
        ends = [caught(output, self.module or "") for output in (output_x, output_r)]
        bound = bind_target(self.target, *ends)
        return lambda output: bound(caught(output, self.module or ""))


def opened_at(target: Target) -> frozenset[str]:
    """Names of the modules whose inputs a target reads; ``""`` is the last activation."""
    if isinstance(target, PreActivation):
        return frozenset((target.module or "",))
    return frozenset().union(*(opened_at(part) for part in parts_of(target)))


@dataclass(frozen=True)
class Custom(Target):
    """A user-defined function, output → (N,), checked at every call.

    Examples
    --------
    >>> largest = Custom(lambda output: output.amax(1))
    >>> bool((largest(model(sequences)) == model(sequences).amax(1)).all())
    True
    """

    function: Callable[[Any], Tensor]

    def __call__(self, output: Any) -> Tensor:
        """Return the function's (B,) values; (B, 1) is accepted."""
        values = self.function(plain_output(output))
        if isinstance(values, Tensor) and values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if not isinstance(values, Tensor) or values.ndim != 1 or not values.is_floating_point():
            raise ModelError(
                f"target: the function returned {describe(values)}; expected one number per example"
            )
        return values


def as_target(target: Target | int | Callable[[Any], Tensor]) -> Target:
    """Convert an index, a function output → (N,) or a target to a target."""
    if isinstance(target, Target):
        return target
    if isinstance(target, int) and not isinstance(target, bool):
        return Output(target)
    if callable(target):
        return Custom(target)
    raise ConfigError(f"target: found {type(target).__name__}, expected a Target, an index or a function")


_KINDS: dict[str, type[Target]] = {
    "output": Output,
    "slice": Slice,
    "log_counts": LogCounts,
    "profile": Profile,
    "tracks": Tracks,
    "difference": Difference,
    "sum": Sum,
    "log": Log,
    "ratio": Ratio,
}


def from_config(settings: Mapping[str, Any], *, name: str | None = None) -> Target:
    """Build a target from plain settings such as ``{"kind": "output", "index": 0}``.

    ``name`` is what messages call it.

    ``difference`` and ``ratio`` have ``a`` and ``b``, ``log`` has ``of``, ``sum`` has ``parts`` (settings
    again) and ``weights``; the other keys
    are the parameters of the class. ``pre_activation`` (true, or the name of a module) reads any other kind
    before the final activation.

    Raises ConfigError when the kind or a key is not known.

    Examples
    --------
    >>> from_config({"kind": "difference", "a": {"kind": "output"}, "b": {"kind": "output", "index": 1}})
    Difference(a=Output(index=0, head=None), b=Output(index=1, head=None))
    """
    target = _from_config(settings)
    return target if name is None else named(target, name)


def all_from_config(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Target]:
    """Build each of several targets from its settings; messages call it by its name."""
    return {name: from_config(dict(entry), name=name) for name, entry in settings.items()}


def _as_tuple(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _as_tuple(entry) for key, entry in value.items()}
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def _from_config(settings: Mapping[str, Any]) -> Target:
    kind, before = settings.get("kind"), settings.get("pre_activation", False)
    if before and kind in ("difference", "sum", "log", "ratio"):
        raise ConfigError(f"target of kind {kind}: give pre_activation to its parts")
    if not isinstance(before, bool | str):
        raise ConfigError(f"target: found pre_activation {before!r}, expected true, false or a module's name")
    if before:
        rest = {key: value for key, value in settings.items() if key != "pre_activation"}
        return PreActivation(from_config(rest), None if before is True else before)
    if kind not in _KINDS:
        raise ConfigError(f"target: found kind {kind!r}, expected one of {', '.join(_KINDS)}")
    own = {key: value for key, value in settings.items() if key not in ("kind", "pre_activation")}
    given = {key: _as_tuple(value) for key, value in own.items()}
    allowed = list(_KINDS[kind].__dataclass_fields__)  # type: ignore[attr-defined]
    unknown = sorted(set(given) - set(allowed))
    if unknown:
        raise ConfigError(
            f"target of kind {kind}: found {', '.join(unknown)}; its keys are {', '.join(allowed)}"
        )
    for key in {"a", "b", "of"} & set(given):
        given[key] = from_config(settings[key])
    if "parts" in given:
        given["parts"] = tuple(from_config(part) for part in settings["parts"])
    try:
        return _KINDS[kind](**given)
    except TypeError as error:
        raise ConfigError(f"target of kind {kind}: {error}; its keys are {', '.join(allowed)}") from None
