"""Checks of what the user gives, before any expensive work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cislex.attribution.arrays import to_tensor
from cislex.errors import InputError, ModelError, offenders
from cislex.targets import Target, read_target

#: Values looked at together, so that checks of large arrays need little memory.
_BLOCK = 1 << 24


def check_sequences(sequences: Any) -> Tensor:
    """One-hot sequences (N, 4, L) as a uint8 tensor on the CPU.

    Raises
    ------
    InputError
        For another shape or axis order, values that are not 0 or 1, NaN, or columns with several bases.
    """
    try:
        x = to_tensor(sequences)
    except TypeError as error:
        raise InputError(f"sequences: found {error}, expected an array (N, 4, L) of numbers") from error
    if x.dim() != 3:
        raise InputError(
            f"sequences: found shape {tuple(x.shape)}, expected (N, 4, L), one-hot, channels A C G T"
            + ("; for one sequence add an axis: sequences[None]" if x.dim() == 2 else "")
        )
    if x.shape[1] != 4:
        hint = (
            "; looks like (N, L, 4): transpose with sequences.transpose(0, 2, 1)" if x.shape[2] == 4 else ""
        )
        raise InputError(f"sequences: found shape {tuple(x.shape)}, expected (N, 4, L){hint}")
    if x.shape[2] == 0:
        raise InputError("sequences: found length 0")
    if x.is_complex():
        raise InputError(f"sequences: found dtype {x.dtype}, expected uint8 or floating point")
    result = torch.empty(x.shape, dtype=torch.uint8)
    step = max(1, _BLOCK // (4 * x.shape[2]))
    for start in range(0, len(x), step):
        part = x[start : start + step].cpu()
        _check_block(part, start)
        result[start : start + step] = part.to(torch.uint8)
    return result


def _check_block(part: Tensor, start: int) -> None:
    if part.is_floating_point():
        bad = torch.isnan(part).any(1)
        if bad.any():
            raise InputError(f"sequences: found NaN at {_places(bad, start)}; expected 0 and 1 only")
    bad = ((part != 0) & (part != 1)).any(1)
    if bad.any():
        example, position = (int(i) for i in bad.nonzero()[0])
        column = [round(float(value), 6) for value in part[example, :, position]]
        raise InputError(
            f"sequences: not one-hot at {_places(bad, start)}: the first column is {column}; expected one 1 "
            "per column, or all 0 for an unknown base"
        )
    bad = part.to(torch.uint8).sum(1) > 1
    if bad.any():
        raise InputError(
            f"sequences: several bases in one column at {_places(bad, start)}; expected one 1 per column"
            + ("; looks like (N, L, 4)" if part.shape[2] == 4 else "")
        )


def _places(bad: Tensor, start: int) -> str:
    return offenders(f"example {int(i) + start} position {int(p)}" for i, p in bad.nonzero())


def check_seeds(seeds: Any, n: int) -> NDArray[np.int64] | None:
    """(N,) whole numbers, or None."""
    if seeds is None:
        return None
    values = np.asarray(seeds.cpu() if isinstance(seeds, Tensor) else seeds)
    if values.shape != (n,):
        raise InputError(f"seeds: found shape {values.shape}, expected ({n},), one per sequence")
    if n and values.dtype.kind not in "iu":
        raise InputError(f"seeds: found dtype {values.dtype}, expected whole numbers")
    return values.astype(np.int64)


def check_extra(extra: Any, n: int) -> tuple[Tensor, ...]:
    """Further inputs of the model, (N, …) each."""
    items = (extra,) if isinstance(extra, Tensor | np.ndarray) else tuple(extra)
    return tuple(_check_input(item, n, f"extra_inputs[{i}]") for i, item in enumerate(items))


def _check_input(item: Any, n: int, name: str) -> Tensor:
    try:
        found = to_tensor(item)
    except TypeError as error:
        raise InputError(f"{name}: found {error}, expected an array ({n}, …) of numbers") from error
    if found.dim() == 0 or found.shape[0] != n:
        raise InputError(f"{name}: found shape {tuple(found.shape)}, expected ({n}, …), one row per sequence")
    if found.is_floating_point():
        bad = (~torch.isfinite(found.reshape(n, -1))).any(1).nonzero().flatten().tolist() if n else []
        if bad:
            raise InputError(
                f"{name}: found values that are not finite, examples {offenders(bad)}; expected numbers only"
            )
    return found


def probe(
    model: torch.nn.Module,
    x: Tensor,
    extra: Sequence[Tensor],
    targets: Sequence[Target],
) -> None:
    """Run one sequence (twice, so that models that squeeze keep their rows) and check what comes out.

    Parameters
    ----------
    model
        In evaluation mode.
    x
        (n, 4, L); one sequence is enough.
    extra
        Further inputs, (n, …) each.
    targets
        What is read from the output.

    Raises
    ------
    ModelError
        When the model cannot take the sequences, or a target cannot be read from its output.
    """
    rows = [item[:1].repeat_interleave(2, 0) for item in (x, *extra)]
    with torch.no_grad():
        try:
            output = model(*rows)
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
            raise ModelError(
                f"the model cannot take sequences of shape (N, 4, {x.shape[2]})"
                + (f" with {len(extra)} extra inputs" if extra else "")
                + f": {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}; "
                f"what to do: {_advice(str(error))}"
            ) from error
        for target in targets:
            check_values(read_target(target, output), 2, target)


def _advice(message: str) -> str:
    if "does not require grad" in message:
        return "take torch.autograd.grad out of forward: attributions do not pass through own gradients"
    return "check the input length and extra_inputs"


def check_values(values: Any, n: int, target: object) -> None:
    """One finite number per sequence; waits for a GPU."""
    check_shape(values, n, target)
    check_finite({"prediction": values.detach().cpu()}, target, 0)


def check_shape(values: Any, n: int, target: object) -> None:
    """One number per sequence; looks at no value, so that a GPU need not be waited for.

    Raises
    ------
    ModelError
        Naming the target, what was found and what was expected.
    """
    if not isinstance(values, Tensor) or tuple(values.shape) != (n,):
        found = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        raise ModelError(
            f"target {target}: found {found} for {n} sequences, expected one number each, shape ({n},)"
        )


def check_finite(values: Mapping[str, Tensor | None], target: object, start: int) -> None:
    """Every value of a result (n, …) is a number.

    Parameters
    ----------
    values
        Arrays by name, on the CPU.
    target
        For the message.
    start
        Number of the first of these examples.

    Raises
    ------
    ModelError
        Naming the examples.
    """
    for name, array in sorted(values.items(), key=lambda item: "prediction" not in item[0]):  # causes first
        if array is None or bool(torch.isfinite(array.sum(dtype=torch.float64))):
            continue  # one pass; a sum of finite numbers in double precision is finite
        bad = (~torch.isfinite(array.flatten(1) if array.dim() > 1 else array[:, None])).any(1)
        rows = bad.nonzero().flatten().tolist()
        found = array[rows[0]][~torch.isfinite(array[rows[0]])].flatten()[0]
        source = {
            "prediction": "the model returns",
            "reference_prediction": "for a reference the model returns",
        }.get(name, f"the {name} of the attribution are")
        hint = (
            "check the weights and the input"
            if "prediction" in name
            else "look for an operation without a finite derivative, such as sqrt or log at 0"
        )
        raise ModelError(
            f"target {target}: {source} {float(found)} for examples "
            f"{offenders(row + start for row in rows)}; what to do: {hint}",
            rows=[row + start for row in rows],
        )
