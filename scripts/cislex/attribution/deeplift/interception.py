"""Interception of torch calls: what recording, replaying and surveying share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from cislex.attribution.deeplift.audit import Trail
from cislex.attribution.deeplift.normalisation import statistics_of
from cislex.attribution.operations import DROPOUT, Call, Kind, canonical, kind_of, whereabouts
from cislex.attribution.transforms import carries_gradient, differentiating, lifted, transforming
from cislex.errors import UnsupportedOperationError

#: Linear in evaluation mode only.
_GUARDED = frozenset(["batch_norm", "native_dropout", *DROPOUT])


#: A composite's own definition in simpler operations, called with the call's arguments.
Decomposition = Callable[..., Any]


class Interception(TorchFunctionMode):
    """What recording and replaying share: names, kinds, decompositions."""

    def __init__(
        self,
        model: torch.nn.Module,
        rules: Mapping[str, Callable[..., Any]],
        decompositions: Mapping[str, Decomposition],
        linear: frozenset[str],
        given: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__()
        self.given = given
        self.model = model
        self.rules = rules
        self.decompositions = decompositions
        self.linear = linear
        self._known: dict[Any, tuple[str, bool, Kind]] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if self.sleeping:
            self._watch(func, args, kwargs or {})
            return func(*args, **(kwargs or {}))
        if self.trail is None:
            return self.dispatch(func, args, kwargs or {})
        with self.trail.step(self._learn(func)[0]):
            return self.dispatch(func, args, kwargs or {})

    def dispatch(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do one call by its kind."""
        name, in_place, kind = self._known.get(func) or self._learn(func)
        if name in _GUARDED:
            self._guard(Call(name, in_place, func, args, kwargs))
        if kind is Kind.LINEAR and not in_place and not self.alert and not self.cuts(name):
            return func(*args, **kwargs)
        if transforming() and (kind is not Kind.LINEAR or name in self.followed):
            return self._inside_transform(Call(name, in_place, func, args, kwargs), kind)
        decomposition = self.decompositions.get(name)
        if decomposition is not None and name not in self.given:
            with self:
                output = decomposition(*args, **kwargs)
                if output is not NotImplemented:
                    return write_back(Call(name, in_place, func, args, kwargs), output)
        call = Call(name, in_place, func, args, kwargs)
        if kwargs.get("out") is not None:
            self.fail(call, "writes into out=", "return the result instead")
        self.full_precision(call)
        return self.handle(call, kind)

    @property
    def nonlinear(self) -> frozenset[str]:
        """Names of all operations with a rule."""
        return frozenset((*self.rules, *self.decompositions))

    def _learn(self, func: Any) -> tuple[str, bool, Kind]:
        """Name and kind of a function that is met for the first time."""
        name, in_place = canonical(func)
        short = name.rpartition("::")[2]
        name = short if short in self.given | self.linear else name
        kind = kind_of(name)
        if name in self.given or (name in self.rules and kind is not Kind.MULTILINEAR):
            kind = Kind.NONLINEAR
        if name in self.linear:
            kind = Kind.LINEAR
        known = self._known[func] = (name, in_place, kind)
        return known

    def _inside_transform(self, call: Call, kind: Kind) -> Any:
        """A call inside ``vmap`` is done outside of it; inside of derivatives activations have no rule."""
        if not differentiating() and call.name != "grad":
            return lifted(
                lambda args, kwargs: self.dispatch(call.func, args, kwargs),
                call.name,
                tuple(call.args),
                call.kwargs,
                sliced=self.sliced,
            )
        active = sum(carries_gradient(tensor) for tensor in call.tensors)
        if active and not (kind is Kind.MULTILINEAR and active < 2):
            self.fail(
                call,
                "runs inside torch.func.vjp, jvp, grad or the like, where no rule reaches it",
                "write the derivative out in ordinary operations, or use a gradient method or ISM",
            )
        return call.func(*call.args, **call.kwargs)

    def sliced(self, size: int) -> None:
        """Learn that a call is done slice by slice."""

    def full_precision(self, call: Call) -> None:
        """Refuse what an autocast region computes in half precision, where more was asked for."""
        device = next((tensor.device.type for tensor in call.tensors), "cpu")
        if self.exact is None or not torch.is_autocast_enabled(device):
            return
        if not any(carries_gradient(tensor) for tensor in call.tensors):
            return
        if torch.get_autocast_dtype(device).itemsize < self.exact.itemsize:
            self.fail(
                call,
                f"runs in an autocast region, in {torch.get_autocast_dtype(device)} instead of {self.exact}",
                "switch autocast off in evaluation mode (enabled=self.training), or ask for "
                "precision='bfloat16'",
            )

    #: Whether operations are let pass, since they are done again later (``segments``).
    sleeping: bool = False

    def asleep(self, run: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function whose operations are done again later."""
        before, self.sleeping = self.sleeping, True
        try:
            return run(*args, **kwargs)
        finally:
            self.sleeping = before

    def _watch(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Keep what is about to be written over."""
        name, in_place, _ = self._known.get(func) or self._learn(func)
        if in_place or kwargs.get("inplace") is True:
            self.protect(Call(name, in_place, func, args, kwargs).tensors[0])

    def protect(self, target: Tensor) -> None:
        """Copy what is kept of a tensor that is about to be written."""

    def segment(self, run: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a module that is a segment of the model: here like any other."""
        return run(*args, **kwargs)

    #: What calls are checked against that no rule has seen, and the floating point that was asked for.
    trail: Trail | None = None
    exact: torch.dtype | None = None
    #: Whether linear operations must be looked at too, and which of them are recorded.
    alert: bool = False
    followed: frozenset[str] = frozenset()

    def cuts(self, name: str) -> bool:
        """Whether the result of this call carries no gradient, whatever its arguments carry."""
        return False

    def _guard(self, call: Call) -> None:
        """Refuse operations that are random, or that mix the rows of a batch."""
        if call.name == "batch_norm":
            if call.argument(5, "training", False) or statistics_of(call)[0] is None:
                self.fail(
                    call,
                    "normalises with the statistics of the batch, so that examples depend on one another",
                    "use running statistics (track_running_stats=True, model.eval())",
                )
        elif call.argument(2, "training", call.argument(2, "train", True)) and call.argument(1, "p", 0.5):
            self.fail(
                call,
                "random: dropout is active although the model is in evaluation mode",
                "pass training=self.training to the functional dropout",
            )

    def handle(self, call: Call, kind: Kind) -> Any:
        """Run a call."""
        raise NotImplementedError

    def fail(self, call: Call, found: str, remedy: str) -> None:
        """Raise the named error for a call."""
        raise UnsupportedOperationError(
            f"{call.describe()} {whereabouts(self.model)}: {found}; what to do: {remedy}"
        )


def write_back(call: Call, output: Any) -> Any:
    """Give an in-place call its in-place effect."""
    if not call.in_place:
        return output
    target = call.tensors[0]
    target.copy_(output)
    return target
