"""Exact in-silico mutagenesis: every base of a window replaced by each of the other three."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cislex.attribution.gradients import checked, chunks, take_rows, with_references
from cislex.attribution.methods import ISM
from cislex.attribution.result import BatchResult
from cislex.errors import ConfigError
from cislex.targets import Target

#: Mutants at once when the caller does not say; small batches stay in a processor's cache.
ROWS = 32


def batch_multipliers(
    model: nn.Module,
    x: Tensor,
    refs: Tensor,
    targets: Sequence[Target],
    method: ISM,
    extra: Sequence[Tensor] = (),
    *,
    rows: int = 0,
) -> BatchResult:
    """Effects f(x with base a at i) − f(x) of n examples.

    Parameters
    ----------
    model
        In evaluation mode.
    x
        (n, 4, L) one-hot, floating point.
    refs
        (n, R, 4, L); only the baseline of ``hypothetical`` depends on them.
    targets
        T targets; they share the forward passes.
    method
        The window. The last base is part of it when ``end`` is None or L.
    extra
        Further inputs of the model, (n, …) each.
    rows
        Most mutants at once; 0 chooses.

    Returns
    -------
    BatchResult
        Multipliers (T, n, 4, L): zero at the example's own base, outside of the window, and in columns
        of unknown bases, which are not mutated.

    Raises
    ------
    ConfigError
        When the window is not inside of the sequences.
    """
    example, position, base = mutations(x, method.start, method.end)
    rows = rows if rows > 0 else ROWS
    multipliers = x.new_zeros((len(targets), *x.shape))
    with torch.no_grad():
        originals = _originals(model, x, extra, rows)
        prediction = torch.stack([checked(target(originals), len(x)) for target in targets])
        for part in chunks(len(example), rows):
            where = (example[part], position[part], base[part])
            output = model(mutated(x, *where), *(item[where[0]] for item in extra))
            effects = differences(targets, originals, prediction, output, where[0])
            multipliers[:, where[0], where[2], where[1]] = effects.to(multipliers.dtype)
    return with_references(multipliers, refs, prediction)


def mutations(x: Tensor, start: int, end: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """Every substitution in a window: example, position and new base, (M,) each, in this order.

    Parameters
    ----------
    x
        (n, 4, L) one-hot; unknown bases have no substitutions.
    start, end
        Window, half-open; None is L.
    """
    length = x.shape[2]
    stop = length if end is None else end
    if not 0 <= start < stop <= length:
        raise ConfigError(
            f"ISM window: found start={start}, end={end} for sequences of {length} bp; "
            f"expected 0 <= start < end <= {length} (half-open)"
        )
    window = x[:, :, start:stop]
    other = (window == 0) & (window.sum(1, keepdim=True) > 0)
    example, position, base = other.transpose(1, 2).nonzero(as_tuple=True)
    return example, position + start, base


def mutated(x: Tensor, example: Tensor, position: Tensor, base: Tensor) -> Tensor:
    """Copies (M, 4, L) of examples, each with one base replaced."""
    mutants = x[example]
    row = torch.arange(len(example), device=x.device)
    mutants[row, :, position] = 0
    mutants[row, base, position] = 1
    return mutants


def differences(
    targets: Sequence[Target], originals: Any, prediction: Tensor, output: Any, example: Tensor
) -> Tensor:
    """f(mutant) − f(x) of M mutants, (T, M).

    A target whose weights depend on the pair gets the example with the mutant as its reference.
    """
    effects = []
    for target, value in zip(targets, prediction, strict=True):
        pair = getattr(target, "pair", None)
        if pair is None:
            effects.append(checked(target(output), len(example)) - value[example])
        else:
            before, after = pair(take_rows(originals, example), output)
            effects.append(after - before)
    return torch.stack(effects)


def _originals(model: nn.Module, x: Tensor, extra: Sequence[Tensor], rows: int) -> Any:
    """The model's output for the examples themselves."""
    parts = [model(x[part], *(item[part] for item in extra)) for part in chunks(len(x), rows)]
    return _joined(parts)


def _joined(parts: list[Any]) -> Any:
    first = parts[0]
    if isinstance(first, Tensor):
        return first if len(parts) == 1 else torch.cat(parts)
    if isinstance(first, dict):
        return {key: _joined([part[key] for part in parts]) for key in first}
    if isinstance(first, tuple | list):
        return type(first)([_joined(list(items)) for items in zip(*parts, strict=True)])
    return first
