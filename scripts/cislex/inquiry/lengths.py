"""Which sequence lengths a model takes, by trying it on random sequences."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from cislex.errors import message_of
from cislex.models.full_precision import own_dtype
from cislex.models.loading import LoadedModel
from cislex.prediction.inspect import random_sequences

#: Length in bp that is tried first, and the longest.
FIRST, LONGEST = 1000, 1 << 17
#: Lengths of published models, tried where no error tells whether a length is too short or too long.
USUAL = (200, 230, 249, 256, 300, 500, 501, 512, 600, 1001, 1024, 1344, 2000, 2048, 2114, 3000, 4096, 10000)
#: Seconds after which no other length is tried.
PATIENCE = 30.0
#: What PyTorch says of a linear layer that gets another number of features than it has.
_FEATURES = re.compile(r"\((?:\d+)x(\d+) and (\d+)x\d+\)")


@dataclass(frozen=True)
class Lengths:
    """Lengths in bp that a model takes.

    Attributes
    ----------
    least, most
        The shortest and the longest; ``most`` is None where twice the length that was found works too, and
        ``least`` is half of it where that works: such a model has no length of its own.
    tried
        A length that works.
    """

    least: int
    most: int | None
    tried: int

    @property
    def only(self) -> int | None:
        """The one length, if there is only one."""
        return self.least if self.least == self.most else None


def accepted_lengths(loaded: LoadedModel, *, patience: float = PATIENCE) -> Lengths | None:
    """Find the lengths that a model takes.

    Parameters
    ----------
    loaded
        The model.
    patience
        Seconds after which no other length is tried.

    Returns
    -------
    Lengths or None
        None where no length that was tried works.

    Examples
    --------
    >>> accepted_lengths(load_model("factory", weights="w.pt", module="m.py:build"))  # doctest: +SKIP
    Lengths(least=500, most=500, tried=500)
    """
    if loaded.input_length is not None:
        return Lengths(loaded.input_length, loaded.input_length, loaded.input_length)
    if (fixed := _of_program(loaded.model)) is not None:
        return Lengths(fixed, fixed, fixed)
    until = time.monotonic() + patience
    trial = Trial(loaded)
    found, short, long = _first_that_fits(trial, until)
    if found is None:
        return None
    if long is None and trial(2 * found) is None:
        return Lengths(found, None, found)

    def fits(length: int) -> bool:
        return trial(length) is None

    half = found // 2
    least = half if short is None and fits(half) else _edge(fits, found, half if short is None else short)
    return Lengths(least, _edge(fits, found, 2 * found if long is None else long), found)


class Trial:
    """One forward pass of two random sequences at a length; None if it works, else why not."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded, self.dtype = loaded, own_dtype(loaded.model)

    def __call__(self, length: int) -> str | None:
        """What the model says of two sequences of this length in bp, None where it computes."""
        x = random_sequences(length, 2).to(self.loaded.device, self.dtype)
        try:
            with torch.inference_mode():
                self.loaded.model(x)
        except (Exception, SystemExit) as error:
            return message_of(error)
        return None


def _first_that_fits(trial: Trial, until: float) -> tuple[int | None, int | None, int | None]:
    """A length that works, and the nearest ones known to be too short and too long."""
    short, long, length = 0, None, FIRST
    told = False
    while length <= LONGEST and time.monotonic() < until:
        said = trial(length)
        if said is None:
            return length, short or None, long
        features = _FEATURES.search(said)
        told |= features is not None
        if features and int(features[1]) > int(features[2]):
            long = length
        elif length > short:
            short = length
        guess = length * int(features[2]) // max(1, int(features[1])) if features else 2 * length
        if long is not None:
            if long - short <= 1:
                return None, None, None
            # Between what is too short and too long, halving where the proportion leaves it.
            length = guess if short < guess < long else (short + long) // 2
        else:
            length = max(guess, length + 1) if features else guess
    if not told:
        for length in USUAL:
            if time.monotonic() < until and trial(length) is None:
                return length, None, None
    return None, None, None


def _edge(fits: Callable[[int], bool], inside: int, outside: int) -> int:
    """The last length that fits between one that does and one that does not."""
    while abs(outside - inside) > 1:
        middle = (inside + outside) // 2
        inside, outside = (middle, outside) if fits(middle) else (inside, middle)
    return inside


def _of_program(model: nn.Module) -> int | None:
    """The length for which a ``torch.export`` program was exported, unless any was allowed."""
    for module in model.modules():
        graph: Any = getattr(module, "graph", None)
        if not isinstance(graph, torch.fx.Graph):
            continue
        for node in graph.nodes:
            value = node.meta.get("val") if node.op == "placeholder" else None
            if isinstance(value, torch.Tensor) and value.ndim == 3:
                sizes = [size for size in value.shape[1:] if isinstance(size, int)]
                if len(sizes) == 2 and 4 in sizes:
                    return sizes[0] * sizes[1] // 4
    return None
