"""Models that also return the inputs of activations, for targets that read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cislex.attribution.operations import canonical
from cislex.errors import ModelError
from cislex.models.fixed_batch import FixedBatch
from cislex.targets import Target, opened_at
from cislex.targets.outputs import CAUGHT, OUTPUT, rebuilt

#: Functions that a model may end with, whose input is what ``PreActivation`` means.
ACTIVATIONS = frozenset(
    (
        *(
            "sigmoid",
            "hardsigmoid",
            "logsigmoid",
            "log_sigmoid",
            "softmax",
            "log_softmax",
            "tanh",
            "hardtanh",
        ),
        *("softplus", "exp", "relu", "relu6", "leaky_relu", "elu", "silu", "gelu", "clamp", "square"),
    )
)
#: Functions that only rearrange; one after the activation is done to its input as well.
MOVES = frozenset(
    (
        "squeeze",
        "unsqueeze",
        "flatten",
        "unflatten",
        "view",
        "reshape",
        "transpose",
        "permute",
        "getitem",
        "clone",
    )
)


class ExposedPreActivation(nn.Module):
    """A model that also returns the inputs of some of its modules, or of its last activation.

    Parameters
    ----------
    model
        Any module; it is called in full, and not changed.
    places
        Names of submodules, as in ``model.named_modules()``; ``""`` for the activation functions that made
        the outputs.
    """

    def __init__(self, model: nn.Module, places: Iterable[str]) -> None:
        super().__init__()
        self.model = model
        self.places = sorted(places)
        names = [name for name, _ in model.named_modules() if name]
        for place in self.places:
            if place and place not in names:
                raise ModelError(
                    f"target: no module {place!r} in the model; the last of its modules are {names[-5:]}"
                )

    def forward(self, *inputs: Any) -> dict[str, Any]:
        """Return the model's output and the exposed inputs, by place."""
        found: dict[str, Any] = {}
        watch = _Watch()
        with ExitStack() as stack:
            for place in filter(None, self.places):
                stack.enter_context(_caught(self.model.get_submodule(place), place, found))
            if "" in self.places:
                stack.enter_context(watch)
            output = self.model(*inputs)
        if "" in self.places:
            found[""] = watch.before(output)
        for place in self.places:
            if place not in found:
                raise ModelError(
                    f"target: module {place!r} was not called in the model's forward; what to do: name one "
                    "that is, or set pre_activation=True (exported programs call no modules)"
                )
        return {OUTPUT: output, CAUGHT: found}


@contextmanager
def _caught(module: nn.Module, place: str, found: dict[str, Any]) -> Iterator[None]:
    """Keep the first argument of a module's last call: a copy, as the module may write into it."""

    def catch(_: nn.Module, arguments: tuple[Any, ...]) -> None:
        found[place] = arguments[0].clone()

    handle = module.register_forward_pre_hook(catch)
    try:
        yield
    finally:
        handle.remove()


class _Watch(TorchFunctionMode):
    """Remembers what went into each activation, by what came out of it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, tuple[Tensor, Tensor]] = {}  # by id; the outputs are kept, so that ids stay

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name, in_place = canonical(func)
        given = kwargs or {}
        before: Any = None
        if name in ACTIVATIONS and args:
            writes = in_place or any(value is True for value in (*args[1:], given.get("inplace")))
            before = args[0].clone() if writes else args[0]
        elif name in MOVES and args and id(args[0]) in self.seen:
            before = func(self.seen[id(args[0])][1], *args[1:], **given)
        output = func(*args, **given)
        if before is not None and isinstance(output, Tensor):
            self.seen[id(output)] = (output, before)
        return output

    def before(self, output: Any) -> Any:
        """The output with each activated tensor replaced by what went into the activation.

        Raises
        ------
        ModelError
            When no tensor of the output was made by an activation.
        """
        found = self._replaced(output)
        if not any(isinstance(leaf, Tensor) for leaf in _leaves(found)):
            raise ModelError(
                "target: the last operation of the output is not an activation such as sigmoid or softmax; "
                "what to do: name the module whose input to use, or remove pre_activation"
            )
        return found

    def _replaced(self, output: Any) -> Any:
        if isinstance(output, Tensor):
            kept, before = self.seen.get(id(output), (None, None))
            return before if kept is output else None
        if isinstance(output, Mapping):
            return {key: self._replaced(value) for key, value in output.items()}
        if isinstance(output, tuple | list):
            return rebuilt(output, [self._replaced(value) for value in output])
        return None


def _leaves(output: Any) -> Iterator[Any]:
    items = output.values() if isinstance(output, Mapping) else output
    for item in items if isinstance(output, Mapping | tuple | list) else [output]:
        if item is output:
            yield item
        else:
            yield from _leaves(item)


def expose_pre_activation(model: nn.Module, targets: Iterable[Target]) -> nn.Module:
    """Expose the inputs of the activations that targets read.

    Parameters
    ----------
    model
        Left as it is.
    targets
        All that will be read from its output.
    """
    places = frozenset().union(*(opened_at(target) for target in targets))
    if not places:
        return model
    if isinstance(model, FixedBatch):
        return FixedBatch(ExposedPreActivation(model.program, places), model.rows)
    return ExposedPreActivation(model, places)
