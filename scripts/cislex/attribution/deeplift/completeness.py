"""Check completeness on the first region, before anything is computed from the attributions.

A delta of the first region has a reason: rounding, which is gone in float64; an operation whose rule is not
complete, which its own residual names; or something that no rule has seen, which is an error.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cislex.attribution.deeplift.audit import REMEDY, Scrutiny, Unseen
from cislex.attribution.deeplift.cases import Case, deltas_of
from cislex.attribution.deeplift.residuals import UNSEEN, residuals_of
from cislex.attribution.result import BatchResult
from cislex.errors import CompletenessError, UnsupportedOperationError, offenders
from cislex.logs import get_logger

#: Relative delta of the first region above which a reason is looked for.
LIMIT = 1e-2
#: Relative delta above which an operation that no rule has seen is not linear, by floating point.
_LINEAR = {torch.float64: 1e-6, torch.float32: 1e-3}
#: Deltas below this many units of rounding of the terms that were summed say nothing.
_ROUNDING = 1e3


def judge(case: Case, result: BatchResult, scrutiny: Scrutiny) -> dict[str, str]:
    """Find the reason why the first region's attributions are incomplete.

    Parameters
    ----------
    case
        The batch of which it is the first.
    result
        What was computed of it.
    scrutiny
        What was found out of sight on the way.

    Returns
    -------
    dict[str, str]
        Notes: what was accepted, or explained by an operation.

    Raises
    ------
    UnsupportedOperationError
        An operation was out of sight that is not linear.
    CompletenessError
        A target's delta is above 1e-2, and no operation explains it.
    """
    case = case.example(0)
    deltas, dtype = deltas_of(result)[:, 0], case.x.dtype
    hidden = _not_linear(scrutiny.unseen, deltas, dtype)
    if hidden:
        text = f"out of sight of the attribution rules: {offenders(hidden)}"
        if not scrutiny.allow:
            raise UnsupportedOperationError(f"{text}; what to do: {REMEDY}")
        return _told(text)
    notes: dict[str, str] = {}
    if scrutiny.unseen:
        notes["unseen"] = f"taken for linear: {offenders(scrutiny.unseen)}"
    over = [t for t, delta in enumerate(deltas.tolist()) if LIMIT < delta < float("inf")]
    over = [t for t in over if not _is_rounding(result, t, dtype)]
    if not over:
        return notes
    wide = case.in_float64()
    try:
        confirmed = deltas if wide is None else deltas_of(wide.attribute())[:, 0]
    except (RuntimeError, UnsupportedOperationError):  # models that know one floating point only
        wide, confirmed = None, deltas
    texts = [_reason(wide or case, t, float(confirmed[t]), scrutiny) for t in over if confirmed[t] > LIMIT]
    return notes | (_told(" | ".join(texts)) if texts else {})


def _not_linear(unseen: Sequence[Unseen], deltas: Tensor, dtype: torch.dtype) -> list[Unseen]:
    """What no rule has seen and is not linear: by its name, or as the delta shows."""
    known = [item for item in unseen if item.nonlinear]
    return known or (list(unseen) if bool((deltas > _LINEAR.get(dtype, 0.1)).any()) else [])


def _is_rounding(result: BatchResult, t: int, dtype: torch.dtype) -> bool:
    """Whether a delta is small beside the terms whose sum it is about."""
    assert result.delta is not None
    assert result.products is not None
    terms = result.multipliers[t, 0].abs().max() + result.products[t, 0].abs().sum()
    size = torch.maximum(terms.double(), result.prediction[t, 0].abs().double())
    return bool(result.delta[t, 0].abs().max() <= _ROUNDING * torch.finfo(dtype).eps * size)


def _reason(case: Case, t: int, delta: float, scrutiny: Scrutiny) -> str:
    """In words why a target's attributions do not sum up; an error where nothing explains it."""
    residuals = residuals_of(case.model, case.x, case.refs, case.method, case.targets[t], case.extra)
    found = {item.operation: item for item in reversed(residuals)}
    unseen = found.pop(UNSEEN).residual
    worst = max(found.values(), key=lambda item: item.residual, default=None)
    text = f"target {case.targets[t]}: relative delta {delta:.1e} of the first region"
    if worst is not None and unseen <= 0.1 * worst.residual:
        return f"{text}, from {worst.operation} {worst.where}"
    text += f", above {LIMIT:g} and not explained by an operation that a rule has seen"
    if not scrutiny.allow:
        raise CompletenessError(f"{text}; what to do: {REMEDY}")
    return f"{text}; accepted by allow_incomplete"


def _told(text: str) -> dict[str, str]:
    get_logger(__name__).warning("attributions are incomplete: %s", text)
    return {"incomplete": text}
