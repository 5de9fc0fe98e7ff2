"""The engine checked on the first regions of the user's own model, against the plain definition."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cislex.attribution import deeplift
from cislex.attribution.methods import DeepLiftShap
from cislex.attribution.result import BatchResult, relative_delta
from cislex.errors import ModelError
from cislex.logs import get_logger
from cislex.targets import Target

#: References that are sent through the plain model.
_REFERENCES = 3
#: Relative difference above which something is wrong rather than rounded, by floating point.
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.bfloat16: 0.1}


def check_first(
    model: nn.Module,
    x: Tensor,
    refs: Tensor,
    targets: Sequence[Target],
    method: DeepLiftShap,
    extra: Sequence[Tensor],
    result: BatchResult,
    *,
    rows: int = 0,
) -> bool:
    """Compare the first example of a batch with the plain model.

    Parameters are those of :func:`cislex.attribution.deeplift.batch_multipliers`, and its result.

    Returns
    -------
    bool
        Whether examples must be repeated for each reference from now on.

    Raises
    ------
    ModelError
        When the model computes something else while its operations are intercepted.
    """
    few = refs[0, :_REFERENCES]
    plain = _plain(model, torch.cat([x[:1], few]), targets, [item[:1] for item in extra])
    assert result.reference_prediction is not None
    assert result.delta is not None
    seen = torch.cat([result.prediction[:, :1], result.reference_prediction[:, 0, : len(few)]], 1).double()
    tolerance = _TOLERANCE.get(x.dtype, 1e-3)
    scale = plain.abs().amax(1, keepdim=True).clamp_min(1e-6)
    worst = float(((plain - seen).abs() / scale).max())
    if worst > tolerance:
        raise ModelError(
            f"the model's prediction differs by {worst:.1e} of its size while operations are intercepted; "
            "what to do: look for random numbers, state that changes between calls, or rows that depend on "
            "each other"
        )
    deltas = relative_delta(result.delta, result.prediction, result.reference_prediction)
    delta = float(deltas[:, 0].max())
    half = x.dtype not in (torch.float32, torch.float64)  # a delta of this size is rounding there
    if delta <= tolerance or half or refs.shape[1] == 1 or "pairing" in result.notes:
        return False
    repeated = deeplift.batch_multipliers(
        model, x[:1], refs[:1], targets, method, [item[:1] for item in extra], rows=rows, repeat=True
    )
    assert repeated.reference_prediction is not None
    assert repeated.delta is not None
    other = float(relative_delta(repeated.delta, repeated.prediction, repeated.reference_prediction).max())
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
        "cislex.attribution.residuals.operation_residuals tells which operation it comes from",
        delta,
    )
    return False


def _plain(model: nn.Module, rows: Tensor, targets: Sequence[Target], extra: Sequence[Tensor]) -> Tensor:
    """(T, rows) values of the plain model, two rows at a time: little memory, and no lost axes."""
    found = []
    with torch.no_grad():
        for start in range(0, len(rows), 2):
            part = rows[[start, min(start + 1, len(rows) - 1)]]
            output = model(part, *(item.repeat_interleave(2, 0) for item in extra))
            found.append(torch.stack([target(output) for target in targets]))
    return torch.cat(found, 1)[:, : len(rows)].double()
