"""Random numbers that a model draws: whether it does, and what it returns with the most extreme of them.

A dropout of one in a hundred changes a value so rarely that equal values in many calls show nothing. So its
draws are replaced: all at their lowest, then all at their highest. What depends on them differs then.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

#: Just below one: what ``torch.rand`` gives at most in float32.
_TOP = 1 - 2**-24


class Extremes(TorchDispatchMode):
    """Replaces random draws by the lowest or the highest that they can be; ``seen`` names the operations.

    Draws of other distributions than uniform numbers and coins, and those inside of fused kernels, stay as
    they are, and are named.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch would import its compiler, for seconds, to keep it out of ``__torch_dispatch__``."""
        return False

    def __init__(self, *, highest: bool) -> None:
        super().__init__()
        self.highest = highest
        self.seen: dict[str, None] = {}
        #: Whether some were drawn from a generator of the model's own.
        self.generators = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        output = func(*args, **given)
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return output
        name = func.overloadpacket.__name__.strip("_")
        self.seen[name] = None
        self.generators |= given.get("generator") is not None
        if name == "bernoulli":
            return self._coin(output, args, given)
        if name in ("rand", "rand_like"):
            return output.fill_(_TOP if self.highest else 0)
        if name == "uniform":
            low, high = (float(args[i]) if len(args) > i else float(i - 1) for i in (1, 2))
            low, high = float(given.get("from", low)), float(given.get("to", high))
            return output.fill_(low + (high - low) * _TOP if self.highest else low)
        if name == "native_dropout":
            return self._dropout(output, args[0], float(args[1]))
        return output

    def _coin(self, output: Tensor, args: tuple[Any, ...], given: Mapping[str, Any]) -> Tensor:
        """Ones that can be ones, or zeros that can be zeros."""
        p = given.get("p", args[1] if len(args) > 1 else None)
        p = torch.as_tensor(args[0] if p is None else p)
        return output.copy_(p > 0 if self.highest else p >= 1)

    def _dropout(self, output: tuple[Tensor, Tensor], x: Tensor, p: float) -> tuple[Tensor, Tensor]:
        """Everything kept, or nothing."""
        if 0 < p < 1:
            kept = float(self.highest)
            output[0].copy_(x * (kept / (1 - p)))
            output[1].fill_(self.highest)
        return output


def watch_generators(device: torch.device) -> Callable[[], list[str]]:
    """A function that names the global generators which have moved since: PyTorch's, NumPy's and Python's."""
    before = _states(device)

    def moved() -> list[str]:
        return [name for name, state in _states(device).items() if state != before[name]]

    return moved


def _states(device: torch.device) -> dict[str, Any]:
    numbers: Any = np.random.get_state(legacy=True)
    states: dict[str, Any] = {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy.random": (numbers[1].tobytes(), *numbers[2:]),
        "random": random.getstate(),
    }
    if device.type == "cuda":
        states["torch.cuda"] = torch.cuda.get_rng_state(device).numpy().tobytes()
    return states
