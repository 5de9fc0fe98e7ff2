"""Effects of deletions and insertions on a model's predictions, with the length kept in a stated way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from cislex.attribution.mutagenesis.mutants import UNKNOWN, Targets, prepare, shaped, to_codes
from cislex.attribution.mutagenesis.perturbations import Perturbations, drawn, written
from cislex.attribution.mutagenesis.windows import (
    check_inserts,
    check_positions,
    check_windows,
    per_example,
    random_bases,
    seeds_of,
)
from cislex.attribution.options import DeviceOptions
from cislex.attribution.validation import check_sequences
from cislex.errors import ConfigError, InputError
from cislex.targets import Output

SIDES = ("right", "left")


def insertions(
    model: Any,
    sequences: Any,
    inserts: Any = ("A", "C", "G", "T"),
    positions: Any = None,
    *,
    side: str = "right",
    target: Targets = Output(0),  # noqa: B008  (frozen)
    progress: bool = False,
    **options: Unpack[DeviceOptions],
) -> Perturbations:
    """Effects of inserting bases; the length is kept by letting others fall off one end.

    The other parameters and errors are those of :func:`cislex.attribution.scrambles`. Unknown bases move
    like any other.

    Parameters
    ----------
    inserts
        One or S sequences to insert: letters A C G T N, or one-hot (4, w); by default each single base.
    positions
        (P,) or (N, P), 0 to L: an insert goes before this column. By default all but L.
    side
        ``right``: the bases from the position on move right, and as many as were inserted fall off the right
        end (of the insert too, where it reaches beyond). ``left``: the bases before it move left instead.

    Returns
    -------
    Perturbations
        ``effects`` (N, P, S).

    Examples
    --------
    >>> insertions(model, sequences, ["A", "GATA"], positions=[10, 30]).effects.shape
    torch.Size([4, 2, 2])
    """
    run, single = prepare(
        model, sequences, target, **options, progress="insertions" if progress else None,
    )  # fmt: skip
    _check_side(side)
    codes_of = check_inserts(inserts)
    count, length = run.codes.shape
    given = torch.arange(length) if positions is None else check_positions(positions, count, length)

    def build(codes: Tensor, insert: Tensor, example: Tensor, position: Tensor) -> Any:
        width = len(insert)
        # Column j of the example with the insert comes from the example, or is one of the insert's.
        j = torch.arange(length)[None] + (width if side == "left" else 0)
        inside = (j >= position[:, None]) & (j < position[:, None] + width)
        source = torch.where(j < position[:, None], j, j - width).clamp(0, length - 1)
        own = insert[(j - position[:, None]).clamp(0, width - 1)]
        return example, torch.zeros_like(example), torch.where(inside, own, codes[example[:, None], source])

    run.notes["length"] = f"bases fall off the {side} end"
    return written(run, single, codes_of, given, 0, build)


def deletions(
    model: Any,
    sequences: Any,
    windows: Any = 1,
    *,
    side: str = "right",
    fill: Any = "unknown",
    n: int = 1,
    seed: int = 0,
    seeds: Any = None,
    target: Targets = Output(0),  # noqa: B008  (frozen)
    progress: bool = False,
    **options: Unpack[DeviceOptions],
) -> Perturbations:
    """Effects of deleting windows; the length is kept by moving one side in and filling its end.

    The other parameters and errors are those of :func:`cislex.attribution.scrambles`. Unknown bases are
    deleted and moved like any other.

    Parameters
    ----------
    windows
        A width (every window of it), (W, 2) half-open coordinates, or (N, W, 2).
    side
        ``right``: the bases right of the window move left, and the right end is filled; or ``left``.
    fill
        ``unknown`` (all-zero columns), ``random`` (bases drawn uniformly, n times, seeded as of
        :func:`scrambles`), or the flanks: one-hot (N, 4, F), the F bases beyond that end of each sequence, in
        the order of the sequence, F at least the widest window.
    n
        Draws; for ``random`` only.

    Returns
    -------
    Perturbations
        ``effects`` (N, W); with ``random`` also ``draws`` and ``spread``.

    Examples
    --------
    >>> deletions(model, sequences, tiles(60, 6, stride=6)).effects.shape
    torch.Size([4, 10])
    """
    run, single = prepare(
        model, sequences, target, **options, progress="deletions" if progress else None,
    )  # fmt: skip
    _check_side(side)
    count, length = run.codes.shape
    given = check_windows(windows, count, length)
    starts = seeds_of(seeds, seed, count)
    filling = _filling(fill, side, n, starts, given, count)

    def draw(codes: Tensor, i: int, window: tuple[int, int], draws: Sequence[int]) -> Tensor:
        rest = torch.cat([codes[: window[0]], codes[window[1] :]])
        rows = []
        for k in draws:
            end = filling(i, *window, k)
            rows.append(torch.cat([rest, end] if side == "right" else [end, rest]))
        return torch.stack(rows)

    effects, changed, prediction = drawn(run, per_example(given, count, dims=3), n, draw)
    random = isinstance(fill, str) and fill == "random"
    run.notes["length"] = f"{fill if isinstance(fill, str) else 'flanks'} at the {side} end"
    return Perturbations(
        shaped(effects.mean(2), single),
        shaped(prediction, single),
        given,
        shaped(effects, single) if random else None,
        changed,
        run.notes,
    )


def _check_side(side: str) -> None:
    if side not in SIDES:
        raise ConfigError(f"side: found {side!r}, expected right or left")


def _filling(
    fill: Any, side: str, n: int, seeds: np.ndarray, windows: Tensor, count: int
) -> Callable[[int, int, int, int], Tensor]:
    """What comes in at the end: (example, start, end of the window, draw) -> codes of that width."""
    random = isinstance(fill, str) and fill == "random"
    if n < 1 or (n > 1 and not random):
        raise ConfigError(f"n: found {n} draws; expected 1, or more with fill='random'")
    if random:
        return lambda i, start, end, k: random_bases(int(seeds[i]), start, end, k)
    if isinstance(fill, str):
        if fill != "unknown":
            raise ConfigError(
                f"fill: found {fill!r}, expected unknown, random or the flanks, one-hot (N, 4, F)"
            )
        return lambda i, start, end, k: torch.full((end - start,), UNKNOWN, dtype=torch.uint8)
    flanks = to_codes(check_sequences(fill))
    widest = int((windows[..., 1] - windows[..., 0]).max()) if windows.numel() else 0
    if len(flanks) != count or flanks.shape[1] < widest:
        raise InputError(
            f"fill: found flanks of {len(flanks)} sequences, {flanks.shape[1]} bp; expected ({count}, 4, F), "
            f"F at least the widest window, {widest} bp"
        )
    last = flanks.shape[1]
    if side == "right":
        return lambda i, start, end, k: flanks[i, : end - start]
    return lambda i, start, end, k: flanks[i, last - (end - start) :]
