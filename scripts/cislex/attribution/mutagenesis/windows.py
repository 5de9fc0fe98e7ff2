"""Windows of sequences, inserts written into them, and shuffles of their bases."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cislex.attribution.arrays import to_tensor
from cislex.attribution.mutagenesis.mutants import one_hot, to_codes
from cislex.attribution.references import DinucleotideShuffle, Shuffle, make_references
from cislex.attribution.validation import check_seeds, check_sequences
from cislex.errors import ConfigError, InputError, offenders

#: Kinds of shuffles, and the narrowest window that they can change.
KINDS = {"dinucleotide": 4, "base": 2}
_LETTERS = {letter: code for code, letter in enumerate("ACGTN")}


def tiles(length: int, width: int, *, stride: int = 1, start: int = 0, end: int | None = None) -> Tensor:
    """Windows of one width, side by side or overlapping.

    Parameters
    ----------
    length
        Length of the sequences, L.
    width, stride
        Of the windows, and from one to the next.
    start, end
        Stretch that they lie in, half-open; None is L.

    Returns
    -------
    Tensor
        (W, 2) int64, half-open.

    Examples
    --------
    >>> tiles(30, 10, stride=10)
    tensor([[ 0, 10],
            [10, 20],
            [20, 30]])
    """
    stop = length if end is None else end
    if width < 1 or stride < 1 or not 0 <= start <= stop <= length or width > stop - start:
        raise ConfigError(
            f"windows: found width={width}, stride={stride}, start={start}, end={end} for sequences of "
            f"{length} bp; expected 1 <= width <= end - start, stride >= 1, 0 <= start < end <= {length}"
        )
    first = torch.arange(start, stop - width + 1, stride)
    return torch.stack([first, first + width], 1)


def check_windows(windows: Any, n: int, length: int, *, least: int = 1, why: str = "") -> Tensor:
    """Windows as (W, 2) or (N, W, 2) int64.

    Parameters
    ----------
    windows
        A width (every window of it), or half-open coordinates (W, 2), or (N, W, 2), one set per example.
    least, why
        Narrowest width, and the reason for it.

    Raises
    ------
    ConfigError
        When a window is not inside of the sequences or too narrow.
    """
    if isinstance(windows, int) and not isinstance(windows, bool):
        found = tiles(length, windows)
    else:
        found = _whole_numbers(windows, "windows")
        if found.ndim not in (2, 3) or found.shape[-1] != 2 or (found.ndim == 3 and len(found) != n):
            raise ConfigError(
                f"windows: found shape {tuple(found.shape)}, expected a width, (W, 2) or ({n}, W, 2) "
                "half-open coordinates"
            )
    start, stop = found[..., 0].flatten(), found[..., 1].flatten()
    bad = ((start < 0) | (stop > length) | (stop - start < least)).nonzero().flatten()
    if len(bad):
        named = offenders(f"[{int(start[i])}, {int(stop[i])})" for i in bad)
        raise ConfigError(
            f"windows: found {named} in sequences of {length} bp; expected 0 <= start, end <= {length}, "
            f"at least {least} bp{why}"
        )
    return found


def check_positions(positions: Any, n: int, last: int, *, name: str = "positions") -> Tensor:
    """Positions 0 to ``last`` as (P,) or (N, P) int64; all of them when None."""
    if positions is None:
        return torch.arange(last + 1)
    found = _whole_numbers(positions, name)
    if found.ndim not in (1, 2) or (found.ndim == 2 and len(found) != n):
        raise ConfigError(f"{name}: found shape {tuple(found.shape)}, expected (P,) or ({n}, P)")
    bad = found[(found < 0) | (found > last)].tolist()
    if bad:
        raise ConfigError(f"{name}: found {offenders(bad)}, expected 0 to {last}")
    return found


def check_pairs(pairs: Any, values: Tensor) -> Tensor:
    """Pairs of ``values`` (W,), ascending, as (P, 2) indices into them, the smaller first; all when None."""
    if pairs is None:
        return torch.combinations(torch.arange(len(values)), 2)
    given = _whole_numbers(pairs, "pairs")
    if given.ndim != 2 or given.shape[1] != 2:
        raise ConfigError(f"pairs: found shape {tuple(given.shape)}, expected (P, 2)")
    bad = (~torch.isin(given, values) | (given[:, :1] == given[:, 1:])).any(1).nonzero().flatten()
    if len(bad):
        named = offenders(tuple(given[i].tolist()) for i in bad)
        raise ConfigError(
            f"pairs: found {named}; expected two different ones of {offenders(values.tolist())}"
        )
    return torch.searchsorted(values, given.sort(1).values.contiguous())


def _whole_numbers(values: Any, name: str) -> Tensor:
    try:
        found = to_tensor(values)
    except TypeError as error:
        raise ConfigError(f"{name}: found {error}, expected whole numbers") from error
    if found.numel() and (found.is_floating_point() or found.is_complex() or found.dtype == torch.bool):
        raise ConfigError(f"{name}: found {found.dtype}, expected whole numbers")
    return found.to(torch.int64)


def per_example(values: Tensor, n: int, *, dims: int) -> Tensor:
    """(N, …) of values that may be the same for all examples, which have ``dims`` dimensions less one."""
    return values if values.ndim == dims else values.unsqueeze(0).expand(n, *values.shape)


def check_inserts(inserts: Any) -> list[Tensor]:
    """Sequences to write: letters A C G T N, or one-hot (4, w); codes (w,) uint8 each.

    Raises
    ------
    InputError
        For another letter, shape or value; N, or an all-zero column, is an unknown base.
    """
    single = isinstance(inserts, str) or (hasattr(inserts, "ndim") and inserts.ndim == 2)
    found = [_insert(item, i) for i, item in enumerate([inserts] if single else inserts)]
    if not found:
        raise InputError("inserts: found none, expected at least one sequence")
    return found


def _insert(item: Any, i: int) -> Tensor:
    if not isinstance(item, str):
        if getattr(item, "ndim", 0) != 2:
            raise InputError(f"inserts[{i}]: found {type(item).__name__}, expected letters or one-hot (4, w)")
        return to_codes(check_sequences(item[None]))[0]
    bad = [letter for letter in item.upper() if letter not in _LETTERS]
    if bad or not item:
        raise InputError(f"inserts[{i}]: found {offenders(bad) or 'no letter'}, expected A, C, G, T or N")
    return torch.tensor([_LETTERS[letter] for letter in item.upper()], dtype=torch.uint8)


def seeds_of(seeds: Any, seed: int, n: int) -> np.ndarray:
    """(N,) int64 seeds, one per example."""
    given = check_seeds(seeds, n)
    return np.full(n, seed, np.int64) if given is None else given


def window_seed(seed: int, start: int, end: int) -> int:
    """Seed of the first draw in a window, 31 bits of BLAKE2; draw k has this plus k."""
    text = f"{int(seed)}:{int(start)}:{int(end)}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little") >> 1


def check_kind(kind: str, n: int) -> None:
    """A kind of shuffle, and a number of draws."""
    if kind not in KINDS:
        raise ConfigError(f"kind: found {kind!r}, expected one of {', '.join(KINDS)}")
    if n < 1:
        raise ConfigError(f"n: found {n}, expected at least 1 draw")


def scrambled(codes: Tensor, kind: str, seed: int, start: int, end: int, draws: Sequence[int]) -> Tensor:
    """Draws (K, end − start) of the shuffled window of one example, codes (L,).

    Unknown bases stay where they are. A draw depends on nothing but the example's seed, the window, the
    number of the draw and what the window holds. ``dinucleotide`` keeps the dinucleotides within the window
    and its first and last base, so those at its borders as well (of each run of known bases), and draws every
    such order with the same probability; ``base`` keeps
    the bases.
    """
    window = one_hot(codes[start:end]).expand(len(draws), -1, -1)
    first = window_seed(seed, start, end)
    method = DinucleotideShuffle(n=1, sampling="uniform") if kind == "dinucleotide" else Shuffle(n=1)
    made = make_references(method, window, np.array([first + k for k in draws], np.int64))
    return to_codes(made[:, 0])


def random_bases(seed: int, start: int, end: int, draw: int) -> Tensor:
    """Codes (end − start,) of bases drawn uniformly, from the example's seed, the window and the draw."""
    generator = np.random.default_rng((window_seed(seed, start, end), draw))
    return torch.from_numpy(generator.integers(0, 4, end - start, dtype=np.uint8))
