"""Choose one tensor of a model's output, which may be a tensor, tuple, list or dict.

For some targets a model is opened, and returns a dict with what it returned (``OUTPUT``), what was caught
on the way for targets before an activation (``CAUGHT``, ``targets.PreActivation``), and weights of bins
(``WEIGHTS``, ``targets.intervals``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from cislex.errors import ModelError

#: Keys of what an opened model returns.
OUTPUT, CAUGHT, WEIGHTS = "__output__", "__caught__", "__weights__"


def plain_output(output: Any) -> Any:
    """Return the model's own output.

    Examples
    --------
    >>> plain_output({"__output__": 1.0, "__caught__": {}})
    1.0
    """
    return output[OUTPUT] if isinstance(output, Mapping) and OUTPUT in output else output


def caught(output: Any, key: str) -> Any:
    """Return the exposed input of the named module, or of the last activation for ``""``.

    Raises
    ------
    ModelError
        When the model does not expose it.

    Examples
    --------
    >>> caught({"__output__": None, "__caught__": {"": "the logits"}}, "")
    'the logits'
    """
    if not isinstance(output, Mapping) or CAUGHT not in output:
        raise ModelError(
            "target: the model's output does not include the value before the activation; what to do: "
            "expose it first, as attribute() does "
            "(cislex.attribution.execution.pre_activation.expose_pre_activation)"
        )
    return output[CAUGHT][key]


def select_head(output: Any, head: int | str | None) -> Tensor:
    """Choose one tensor of a model's output.

    Parameters
    ----------
    output
        A tensor, or a tuple, named tuple, list or dict of tensors or of such containers.
    head
        Position, key or field; for containers in containers their names joined by dots (``human.rna``). None
        for an output that is one tensor (or one tensor in a container).

    Raises
    ------
    ModelError
        When there is no such head, or none was chosen among several.

    Examples
    --------
    >>> output = {"human": torch.zeros(2, 5), "mouse": torch.zeros(2, 3)}
    >>> select_head(output, "mouse").shape
    torch.Size([2, 3])
    """
    output = plain_output(output)
    if not isinstance(output, Mapping | tuple | list):
        if head not in (None, 0):
            raise ModelError(
                f"target: found head {head!r}, but the model returns one {type(output).__name__}"
            )
        chosen = output
    else:
        chosen = _inside(output, head)
    if not isinstance(chosen, Tensor) or not chosen.is_floating_point() or chosen.ndim == 0:
        raise ModelError(f"target: head {head!r} is {describe(chosen)}; expected floating point (N, …)")
    return chosen


def _inside(output: Any, head: int | str | None) -> Any:
    """What a container holds under a position, a key, or a path of them; under None the only one."""
    named = flat_outputs(output)
    if head is None and len(named) == 1:
        return next(iter(named.values()))
    if isinstance(output, Mapping) and head in output:
        return output[head]
    if isinstance(output, tuple | list) and isinstance(head, int) and -len(output) <= head < len(output):
        return output[head]
    if not isinstance(head, str) or head not in named:
        places = f", or by position 0 to {len(output) - 1}" if isinstance(output, tuple | list) else ""
        raise ModelError(
            f"target: found head {head!r}; the model returns {len(named)} outputs: set head to one of "
            f"{', '.join(named)}{places}"
        )
    return named[head]


def flat_outputs(output: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten a container; names are keys, fields of named tuples or positions, joined by dots.

    Of two equal names, one of which is a key with a dot in it, that key's value is kept.
    """
    if isinstance(output, Mapping):
        items = [(str(key), value) for key, value in output.items()]
    elif isinstance(output, tuple | list):
        items = list(zip(getattr(output, "_fields", map(str, range(len(output)))), output, strict=True))
    else:
        return {prefix: output}
    found: dict[str, Any] = {}
    for name, value in items:
        inside = flat_outputs(value, f"{prefix}.{name}" if prefix else name)
        found |= {key: item for key, item in inside.items() if key not in found or item is value}
    return found


def describe(value: Any) -> str:
    """Describe a value in messages: dtype and shape of a tensor, the type of anything else.

    Examples
    --------
    >>> describe(torch.zeros(2, 3)), describe(None)
    ('torch.float32 (2, 3)', 'NoneType')
    """
    return f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def entry(values: Tensor, index: int | tuple[int, ...]) -> Tensor:
    """``values[:, i, j, …]``, with a named error where the index is out of range.

    Examples
    --------
    >>> entry(torch.arange(6.0).reshape(1, 2, 3), (1, 2))
    tensor([5.])
    """
    wanted = index if isinstance(index, tuple) else (index,)
    sizes = tuple(values.shape[1:])
    if len(wanted) > len(sizes) or not all(-n <= i < n for i, n in zip(wanted, sizes, strict=False)):
        shape = ", ".join(map(str, ("N", *sizes)))
        choices = ", ".join(f"0 to {n - 1}" for n in sizes) or "0"
        raise ModelError(
            f"target: index {index} is out of range; the output has shape ({shape}), and each index counts "
            f"from 0: choose {choices}"
        )
    for i in wanted:
        values = values.select(1, i)
    return values


def entries_of(values: Tensor, index: int | tuple[int, ...]) -> Tensor:
    """``values[:, index]`` of (N, tracks, positions): one track, or several in the order that is given.

    Examples
    --------
    >>> entries_of(torch.zeros(2, 5, 60), (0, 3)).shape
    torch.Size([2, 2, 60])
    """
    if isinstance(index, int):
        return entry(values, index)
    return torch.stack([entry(values, i) for i in index], 1)


def rebuilt(container: Any, items: Iterable[Any]) -> Any:
    """A tuple, named tuple or list of the same kind with other items."""
    kind = type(container)
    return kind(*items) if hasattr(kind, "_fields") else kind(items)


def map_rows(function: Callable[[Tensor], Tensor], output: Any) -> Any:
    """Replace each tensor of an output; what has no rows (numbers, scalar tensors, None) stays."""
    if isinstance(output, Tensor):
        return function(output) if output.ndim else output
    if isinstance(output, Mapping):
        return {key: map_rows(function, value) for key, value in output.items()}
    if isinstance(output, tuple | list):
        return rebuilt(output, [map_rows(function, value) for value in output])
    return output


def join_rows(parts: Sequence[Any]) -> Any:
    """Join outputs of consecutive rows; what has no rows is taken from the first."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(list(parts)) if first.ndim and len(parts) > 1 else first
    if isinstance(first, Mapping):
        return {key: join_rows([part[key] for part in parts]) for key in first}
    if isinstance(first, tuple | list):
        return rebuilt(first, [join_rows(items) for items in zip(*parts, strict=True)])
    return first


def axis_last(values: Tensor, axis: int) -> Tensor:
    """The values with one axis moved to the end.

    Examples
    --------
    >>> axis_last(torch.zeros(2, 60, 3), 1).shape
    torch.Size([2, 3, 60])
    """
    if axis == -1:
        return values
    if not (1 <= axis < values.ndim or -values.ndim < axis < 0):
        raise ModelError(
            f"target: axis {axis} is out of range for shape {tuple(values.shape)}; the first axis holds the "
            f"examples: choose 1 to {values.ndim - 1}"
        )
    return values.movedim(axis, -1)
