"""Check the engine on the first regions and the user's model, against the plain definition."""

from __future__ import annotations

import torch
from torch import Tensor

from cislex.attribution.deeplift.cases import Case, deltas_of
from cislex.attribution.execution.model_context import is_more_than_rounding
from cislex.attribution.result import BatchResult
from cislex.errors import ModelError
from cislex.logs import get_logger

#: Examples, and references of each, that are sent through the plain model: the first and the last of them.
_EXAMPLES, _REFERENCES = 2, 4
#: Relative difference above which something is wrong rather than rounded, by floating point.
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.bfloat16: 0.1}


def check_first(case: Case, result: BatchResult) -> bool:
    """Compare the first and the last example of a batch, and of their references, with the plain model.

    Parameters
    ----------
    case
        The batch.
    result
        What was computed of it.

    Returns
    -------
    bool
        Whether examples must be repeated for each reference from now on.

    Raises
    ------
    ModelError
        When the model computes something else while its operations are intercepted.
    """
    examples, kept = _ends(len(case.x), _EXAMPLES), _ends(case.refs.shape[1], _REFERENCES)
    for i in examples:
        _check_values(case.example(i, kept), _values(result, i, kept))
    deltas = deltas_of(result, examples)
    delta = float(deltas.max())
    half = case.x.dtype not in (torch.float32, torch.float64)  # a delta of this size is rounding there
    small = delta <= _TOLERANCE.get(case.x.dtype, 1e-3)
    if small or half or case.refs.shape[1] == 1 or "pairing" in result.notes:
        return False
    worst = case.example(examples[int(deltas.amax(0).argmax())])
    other = float(deltas_of(worst.attribute(repeat=True)).max())
    logger = get_logger(__name__)
    if other < delta / 10:
        logger.warning(
            "this model mixes rows with other axes (relative delta %.1e): examples are repeated for each "
            "reference, which takes up to twice as long",
            delta,
        )
        return True
    logger.warning(
        "the first region has a relative delta of %.1e; "
        "cislex.attribution.residuals.operation_residuals shows which operation causes it",
        delta,
    )
    return False


def _ends(n: int, most: int) -> list[int]:
    """The first and the last of n places, ``most`` in all."""
    return sorted({*range(min(n, most // 2)), *range(max(0, n - most // 2), n)})


def _values(result: BatchResult, i: int, references: list[int]) -> Tensor:
    """(T, 1 + references) values of an example and of some of its references."""
    assert result.reference_prediction is not None
    return torch.cat([result.prediction[:, [i]], result.reference_prediction[:, i, references]], 1).double()


def _check_values(case: Case, seen: Tensor) -> None:
    """What one example and its references gave (T, 1 + R) is what the plain model gives."""
    plain = _plain(case)
    tolerance = _TOLERANCE.get(case.x.dtype, 1e-3)
    size = plain.abs().amax(1)
    difference = (plain - seen).abs().amax(1)
    off = difference > tolerance * size
    if bool(off.any()):
        off &= _stays(case, difference)
    if bool(off.any()):
        worst = float((difference[off] / size[off].clamp_min(1e-300)).max())
        raise ModelError(
            f"the model's prediction differs by {worst:.1e} of its size while operations are intercepted; "
            "what to do: look for random numbers, state that changes between calls, or rows that depend on "
            "each other"
        )


def _stays(case: Case, difference: Tensor) -> Tensor:
    """(T,) whether differences have about the same size in another floating point; rounding has not."""
    other = case.in_other_precision()
    if other is None:
        return torch.ones_like(difference, dtype=torch.bool)
    try:
        seen = _values(other.attribute(), 0, list(range(case.refs.shape[1])))
    except (RuntimeError, ModelError):  # models that know one floating point only
        return torch.ones_like(difference, dtype=torch.bool)
    again = (_plain(other) - seen).abs().amax(1)
    return is_more_than_rounding(difference, again, case.x.dtype)


def _plain(case: Case) -> Tensor:
    """(T, rows) values of the plain model, two rows at a time: little memory, and no lost axes."""
    rows = torch.cat([case.x, case.refs[0]])
    found = []
    with torch.no_grad():
        for start in range(0, len(rows), 2):
            part = rows[[start, min(start + 1, len(rows) - 1)]]
            output = case.model(part, *(item.repeat_interleave(2, 0) for item in case.extra))
            found.append(torch.stack([target(output) for target in case.targets]))
    return torch.cat(found, 1)[:, : len(rows)].double()
