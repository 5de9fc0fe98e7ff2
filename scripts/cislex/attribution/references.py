"""References to compare sequences with, as frozen data, and one function that makes them.

In every reference the unknown bases of the example (all-zero columns) are all-zero too, so that they
contribute nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cislex.attribution.arrays import to_tensor
from cislex.errors import ConfigError, InputError, offenders
from cislex.sequences.shuffles import fill_shuffles

UNKNOWN = 4  # code of an all-zero column
#: Which of the dinucleotide shuffles are drawn.
SAMPLINGS = ("auto", "fixed_exits", "uniform")
#: Windows shorter than this, in bp, are shuffled uniformly by ``auto``: the last exits of the four bases lie
#: among the last ten or so columns, which are then a large part of the window.
SHORT_WINDOW = 30


def at_least_one(name: str, n: int) -> None:
    """Refuse fewer than one reference."""
    if n < 1:
        raise ConfigError(f"{name}: found n={n}, expected at least 1 reference")


@dataclass(frozen=True)
class DinucleotideShuffle:
    """Shuffles with the same dinucleotide counts and the same first and last base.

    Parameters
    ----------
    n
        References per example.
    seed
        The k-th reference of every example is drawn from ``seed + k``, unless seeds are given per example.
    start, end
        Only columns ``[start, end)`` are shuffled; a negative ``end`` counts from the end and is
        inclusive, so −1 is the whole rest.
    sampling
        ``uniform``: every shuffle with the same probability. ``fixed_exits``: those in which each base is
        left for the last time as in the example, as tangermeme does: a part of them, in which the base before
        the last is always the example's own. ``auto``: uniform for windows shorter than 30 bp, else
        fixed_exits.

    Examples
    --------
    >>> make_references(DinucleotideShuffle(n=5), sequences).shape
    torch.Size([4, 5, 4, 60])
    """

    n: int = 20
    seed: int = 0
    start: int = 0
    end: int = -1
    sampling: str = "auto"

    def __post_init__(self) -> None:
        at_least_one("DinucleotideShuffle", self.n)
        if self.sampling not in SAMPLINGS:
            raise ConfigError(
                f"DinucleotideShuffle.sampling: found {self.sampling!r}, expected one of "
                f"{', '.join(SAMPLINGS)}"
            )

    def is_uniform(self, width: int) -> bool:
        """Whether windows of ``width`` bp are shuffled uniformly."""
        return self.sampling == "uniform" or (self.sampling == "auto" and width < SHORT_WINDOW)


@dataclass(frozen=True)
class Shuffle:
    """Shuffles with the same base counts; unknown bases stay where they are.

    Parameters
    ----------
    n, seed
        See :class:`DinucleotideShuffle`.

    Examples
    --------
    >>> shuffled = make_references(Shuffle(n=5), sequences)
    >>> bool((shuffled.sum(-1) == sequences.sum(-1, keepdim=True).transpose(1, 2)).all())
    True
    """

    n: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        at_least_one("Shuffle", self.n)


@dataclass(frozen=True)
class Zeros:
    """One reference without any base.

    Examples
    --------
    >>> int(make_references(Zeros(), sequences).sum())
    0
    """


@dataclass(frozen=True)
class Uniform:
    """One reference with the same value in every column.

    Parameters
    ----------
    frequencies
        Values of A, C, G, T; need not sum to one (0.5 each is a background in use).

    Examples
    --------
    >>> make_references(Uniform((0.3, 0.2, 0.2, 0.3)), sequences)[0, 0, :, 0]
    tensor([0.3000, 0.2000, 0.2000, 0.3000])
    """

    frequencies: tuple[float, float, float, float] = (0.25, 0.25, 0.25, 0.25)

    def __post_init__(self) -> None:
        values = tuple(float(value) for value in self.frequencies)
        if len(values) != 4 or not all(np.isfinite(value) and value >= 0 for value in values):
            raise ConfigError(
                f"Uniform.frequencies: found {self.frequencies}, expected four numbers >= 0 (A, C, G, T)"
            )
        object.__setattr__(self, "frequencies", values)


@dataclass(frozen=True, eq=False)
class FixedReferences:
    """User-supplied references, for example saved ones that are replayed.

    Parameters
    ----------
    sequences
        (N, R, 4, L), R references for each of N examples, or (R, 4, L), the same for all.

    Examples
    --------
    >>> own = sequences.roll(1, dims=0).unsqueeze(1)  # each with its neighbour
    >>> attribute(model, sequences, DeepLiftShap(FixedReferences(own))).delta.shape
    torch.Size([4, 1])
    """

    sequences: Any

    def __post_init__(self) -> None:
        given = _numbers(self.sequences, "FixedReferences")
        if given.ndim not in (3, 4) or given.shape[-2] != 4 or 0 in given.shape[-4:]:
            raise InputError(
                f"FixedReferences: found shape {tuple(given.shape)}, expected (N, R, 4, L) or (R, 4, L), "
                "channels A C G T"
            )
        if given.is_floating_point() and not bool(torch.isfinite(given).all()):
            raise InputError("FixedReferences: found values that are not finite; expected numbers only")
        object.__setattr__(self, "sequences", given)

    def rows(self, rows: slice | Sequence[int] | Tensor) -> FixedReferences:
        """References of some of the examples; those shared by all examples are returned as they are."""
        return FixedReferences(self.sequences[rows]) if self.sequences.ndim == 4 else self


#: Called with the sequences (n, 4, L) uint8, and the seeds (n,) int64 or None where it takes a second
#: argument; returns (n, R, 4, L).
ReferenceFunction = Callable[..., Tensor]
References = DinucleotideShuffle | Shuffle | Zeros | Uniform | FixedReferences | ReferenceFunction


def number_of(references: References, sequences: Tensor | None = None) -> int:
    """References per example.

    Parameters
    ----------
    references
        Any of this module's.
    sequences
        (n, 4, L); a callable without an attribute ``n`` is tried on the first of them.

    Raises
    ------
    ConfigError
        When a callable does not say and no sequences were given.
    """
    if isinstance(references, Zeros | Uniform):
        return 1
    if isinstance(references, FixedReferences):
        return int(references.sequences.shape[-3])
    declared = getattr(references, "n", None)
    if declared is not None:
        return int(declared)
    if sequences is None:
        raise ConfigError(
            "references: a callable must have an attribute `n` (references per example), "
            "or be tried on sequences"
        )
    return int(make_references(references, sequences[:1]).shape[1])


def make_references(
    references: References,
    sequences: Tensor | NDArray[Any],
    seeds: Sequence[int] | NDArray[np.integer[Any]] | Tensor | None = None,
    *,
    threads: int | None = None,
) -> Tensor:
    """Make the references of each sequence.

    Parameters
    ----------
    references
        What to make.
    sequences
        (n, 4, L) one-hot, any dtype; an all-zero column is an unknown base.
    seeds
        (n,) integers: reference k of example i is drawn from ``seeds[i] + k`` instead of
        ``references.seed + k``. Shuffles depend on nothing else, so batches and order do not matter.
    threads
        Most threads that shuffle; by default torch's. The result does not depend on it.

    Returns
    -------
    Tensor
        (n, R, 4, L) on the device of ``sequences``: uint8 where one-hot, else float32 (float64 if given so).

    Raises
    ------
    InputError
        When shapes do not agree or a shuffle's window is outside of the sequences.

    Examples
    --------
    >>> one = make_references(DinucleotideShuffle(n=2), sequences, seeds=[1, 2, 3, 4])
    >>> two = make_references(DinucleotideShuffle(n=2), sequences[2:], seeds=[3, 4])
    >>> bool((one[2:] == two).all())  # of a sequence and its seed alone
    True
    """
    kinds = (DinucleotideShuffle, Shuffle, Zeros, Uniform, FixedReferences)
    if isinstance(references, Tensor | np.ndarray) or isinstance(sequences, kinds):
        raise InputError(
            f"make_references: found {type(references).__name__} as references and "
            f"{type(sequences).__name__} as sequences; expected make_references(references, "
            "sequences): were they swapped?"
        )
    x = _numbers(sequences, "sequences")
    if x.ndim != 3 or x.shape[1] != 4:
        raise InputError(f"sequences: found shape {tuple(x.shape)}, expected (n, 4, L), channels A C G T")
    known = x.sum(1, keepdim=True).unsqueeze(1) > 0  # (n, 1, 1, L)
    if isinstance(references, DinucleotideShuffle | Shuffle):
        threads = torch.get_num_threads() if threads is None else threads
        return _shuffled(references, x, checked_seeds(seeds, len(x), references.seed), threads).to(x.device)
    if isinstance(references, Zeros):
        return torch.zeros((len(x), 1, 4, x.shape[2]), dtype=torch.uint8, device=x.device)
    if isinstance(references, Uniform):
        values = torch.tensor(references.frequencies, dtype=torch.float32, device=x.device)
        return values[None, None, :, None] * known
    if isinstance(references, FixedReferences):
        return _masked(_fixed(references.sequences, x), known)
    if callable(references):
        return _masked(_called(references, x, seeds), known)
    raise ConfigError(f"references: found {type(references).__name__}, expected one of {References}")


def checked_seeds(seeds: Any, n: int, default: int) -> NDArray[np.int64]:
    """Seeds (n,) int64: those given, else the default for all."""
    if seeds is None:
        return np.full(n, default, dtype=np.int64)
    values = np.asarray(seeds.cpu() if isinstance(seeds, Tensor) else seeds)
    if values.shape != (n,) or (n and not np.issubdtype(values.dtype, np.integer)):
        raise InputError(
            f"seeds: found shape {values.shape} of {values.dtype}, expected ({n},) integers, one per sequence"
        )
    return values.astype(np.int64)


def _shuffled(
    references: DinucleotideShuffle | Shuffle, x: Tensor, seeds: NDArray[np.int64], threads: int
) -> Tensor:
    length = x.shape[2]
    start, end = 0, length
    if isinstance(references, DinucleotideShuffle):
        start = references.start
        end = references.end if references.end >= 0 else length + 1 + references.end
        if not 0 <= start < end <= length and len(x):
            raise InputError(
                f"DinucleotideShuffle: found start={references.start}, end={references.end} for sequences of "
                f"{length} bp; expected 0 <= start < end <= {length} (a negative end counts from the end)"
            )
    values, codes = x.max(dim=1)
    codes = codes.to(torch.uint8).masked_fill_(values == 0, UNKNOWN)
    out = np.empty((len(x), references.n, 4, length), dtype=np.uint8)
    both = isinstance(references, DinucleotideShuffle)
    uniform = isinstance(references, DinucleotideShuffle) and references.is_uniform(end - start)
    fill_shuffles(codes.cpu().numpy(), seeds, start, end, both, out, uniform=uniform, threads=threads)
    return torch.from_numpy(out)


def _fixed(given: Tensor, x: Tensor) -> Tensor:
    full = given if given.ndim == 4 else given.expand(len(x), *given.shape)
    if full.shape[0] != len(x) or full.shape[-1] != x.shape[-1]:
        raise InputError(
            f"references: found shape {tuple(given.shape)} for sequences {tuple(x.shape)}; expected "
            f"({len(x)}, R, 4, {x.shape[-1]}) or (R, 4, {x.shape[-1]})"
        )
    return full.to(x.device)


def _numbers(values: Any, name: str) -> Tensor:
    try:
        found = to_tensor(values)
    except TypeError as error:
        raise InputError(f"{name}: found {error}, expected an array of numbers") from error
    if found.is_complex():
        raise InputError(f"{name}: found {found.dtype}, expected real numbers")
    return found


def _called(function: ReferenceFunction, x: Tensor, seeds: Any) -> Tensor:
    codes = x.to(torch.uint8)
    made = _numbers(
        function(codes, None if seeds is None else to_tensor(seeds))
        if _takes_seeds(function)
        else function(codes),
        "references from the callable",
    )
    if made.ndim != 4 or made.shape[0] != len(x) or made.shape[2:] != x.shape[1:] or made.shape[1] == 0:
        raise InputError(
            f"references: the callable returned shape {tuple(made.shape)} for sequences {tuple(x.shape)}; "
            f"expected ({len(x)}, R, 4, {x.shape[-1]})"
        )
    finite = torch.isfinite(made).flatten(1).all(1)  # whole numbers always are
    bad = (~finite).nonzero().flatten().tolist()
    if bad:
        raise InputError(
            f"references: the callable returned values that are not finite, examples {offenders(bad)}"
        )
    return made.to(x.device)


def _takes_seeds(function: ReferenceFunction) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some built-ins have no signature
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in positional if p.default is p.empty]
    return len(required) == 2 or any(p.name == "seeds" for p in positional[1:])


def _masked(made: Tensor, known: Tensor) -> Tensor:
    """Zero at unknown bases; uint8 where every value is 0 or 1."""
    one_hot = not made.is_floating_point() or bool(((made == 0) | (made == 1)).all())
    wide = torch.float64 if made.dtype == torch.float64 else torch.float32
    return made.to(torch.uint8 if one_hot else wide) * known
