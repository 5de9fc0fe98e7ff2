"""Where batch normalisation keeps its statistics: two functions of one name order them differently."""

from __future__ import annotations

import torch
from torch import Tensor

from cislex.attribution.operations import Call


def statistics_of(call: Call) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Running mean, running variance and weight of a ``batch_norm`` call.

    ``torch.nn.functional.batch_norm`` takes (input, mean, variance, weight, bias, …), but
    ``torch.batch_norm`` and exported programs (input, weight, bias, mean, variance, …).
    """
    mean, variance, weight = (1, 2, 3) if call.func is torch.nn.functional.batch_norm else (3, 4, 1)
    return (
        call.argument(mean, "running_mean"),
        call.argument(variance, "running_var"),
        call.argument(weight, "weight"),
    )
