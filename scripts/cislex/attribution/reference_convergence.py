"""How many references are enough? The same regions with more and more of the same references.

The references are nested: the first k of the largest number. Contributions are a mean over references, so
one pass over all of them, reference by reference, gives every number and their spread.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from cislex.attribution.api import attribute
from cislex.attribution.genomic_references import GenomicWindows
from cislex.attribution.methods import ISM, TISM, ExpectedGradients, Method, Saliency
from cislex.attribution.references import (
    DinucleotideShuffle,
    FixedReferences,
    Shuffle,
    Uniform,
    Zeros,
    make_references,
    number_of,
)
from cislex.attribution.validation import check_extra, check_seeds, check_sequences
from cislex.errors import ConfigError, InputError
from cislex.files.tables import atomic_path, write_table
from cislex.targets import Output, Target

Matrix = NDArray[np.float64]
#: Contributions held at once, number of float64: bounds memory, not results.
_BLOCK = 1 << 21
#: What is measured of each region at each number of references.
MEASURES = ("pearson", "spearman", "top_overlap", "spread", "expected_error", "expected_pearson")
_COLOURS = ("#0072b2", "#d55e00", "#009e73")


@dataclass(frozen=True, eq=False)
class Sufficiency:
    """How contributions change with more references.

    Attributes
    ----------
    counts
        Numbers of references, ascending.
    regions
        One row per region and number: ``region``, ``references``, ``sets`` (disjoint sets of that many)
        and, of the contributions of the known bases,

        ``pearson``, ``spearman``
            correlation with those of the largest number of references (of which these are a part);
        ``top_overlap``
            fraction of the strongest bases that are among the strongest with the largest number too;
        ``spread``
            standard deviation over disjoint sets, root mean square over the bases, as a fraction of the
            root mean square of the contributions; NaN where there is only one set;
        ``expected_error``
            the same from the spread between single references, divided by the root of their number;
        ``expected_pearson``
            expected correlation with infinitely many references, √(V / (V + N / k)): V is the variance
            of the contributions over the bases less its share of noise, N the noise of one reference.
    method
        Name of the method.
    top
        Fraction of the bases that count as strongest.

    Examples
    --------
    >>> found = reference_sufficiency(model, sequences, DeepLiftShap(), counts=(2, 10))
    >>> found.save(folder / "sufficiency.tsv")
    """

    counts: tuple[int, ...]
    regions: pd.DataFrame
    method: str
    top: float

    @property
    def table(self) -> pd.DataFrame:
        """One row per number of references: it, ``sets``, ``regions``; each measure's median, min and max."""
        grouped = self.regions.groupby("references", sort=True)
        counted = pd.DataFrame({"sets": grouped["sets"].first(), "regions": grouped.size()})
        measured = [grouped[name].agg(["median", "min", "max"]).add_prefix(f"{name}_") for name in MEASURES]
        return pd.concat([counted, *measured], axis=1).reset_index()

    def enough(self, pearson: float = 0.98) -> int | None:
        """Smallest number of references whose median expected correlation reaches ``pearson``, if any."""
        table = self.table
        reached = table.loc[table["expected_pearson_median"] >= pearson, "references"]
        return int(reached.iloc[0]) if len(reached) else None

    def figure(self) -> Any:
        """Draw a matplotlib Figure: correlations, error per base and strongest bases against the number."""
        _matplotlib()
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10.5, 3.5), layout="constrained")
        FigureCanvasAgg(figure)
        table = self.table
        largest = self.counts[-1]
        panels = (
            (
                "Correlation of contributions",
                "correlation",
                {
                    "pearson": f"Pearson, with {largest}",
                    "spearman": f"Spearman, with {largest}",
                    "expected_pearson": "Pearson, expected with infinitely many",
                },
            ),
            (
                "Error per base",
                "SD / RMS of contributions (%)",
                {"spread": "between disjoint sets", "expected_error": "expected, ∝ 1/√number"},
            ),
            (
                f"Strongest {self.top:.0%} of the bases",
                f"shared with {largest} references (%)",
                {"top_overlap": "overlap"},
            ),
        )
        axes = figure.subplots(1, 3)
        for axis, (title, unit, lines) in zip(axes, panels, strict=True):
            _panel(axis, table, lines, percent="%" in unit)
            axis.set_title(title, fontsize=10, loc="left")
            axis.set_ylabel(unit, fontsize=9)
            axis.set_xlabel("references", fontsize=9)
        axes[1].set_ylim(bottom=0)
        axes[0].set_ylim(top=1.02)
        axes[2].set_ylim(0, 103)
        regions = len(self.regions) // len(self.counts)
        figure.suptitle(
            f"{self.method}, {regions} region{'s' * (regions != 1)}: median, and range over regions",
            fontsize=10,
        )
        return figure

    def save(self, path: str | Path) -> None:
        """Write the figure (``.svg``, ``.png``, ``.pdf``) or the table (``.tsv``), atomically."""
        kind = Path(path).suffix.lower().lstrip(".")
        if kind == "tsv":
            write_table(self.table, path)
            return
        if kind not in ("svg", "png", "pdf"):
            raise ConfigError(f"{path}: found the file extension {kind!r}, expected svg, png, pdf or tsv")
        matplotlib = _matplotlib()
        # A fixed salt and no date: the same figure is the same file.
        dated = {} if kind == "png" else {"metadata": {"Date" if kind == "svg" else "CreationDate": None}}
        with matplotlib.rc_context({"svg.hashsalt": "cislex"}), atomic_path(path) as temporary:
            self.figure().savefig(temporary, format=kind, dpi=150, **dated)


def _matplotlib() -> Any:
    """The module, or an error that says how to install it."""
    try:
        import matplotlib
    except ImportError as error:
        raise ConfigError(
            "figures need matplotlib, which is not installed; what to do: pip install 'cislex[plots]' (or "
            "pip install matplotlib), or save the table (.tsv)"
        ) from error
    return matplotlib


def _panel(axis: Any, table: pd.DataFrame, lines: dict[str, str], *, percent: bool) -> None:
    """Median lines with bands from the lowest to the highest region, over the logarithm of the number."""
    scale = 100 if percent else 1
    for (name, label), colour in zip(lines.items(), _COLOURS, strict=False):
        shown = table.dropna(subset=f"{name}_median")
        x = shown["references"]
        dashed = name.startswith("expected")
        axis.plot(
            x, scale * shown[f"{name}_median"], "--" if dashed else "-", marker="" if dashed else "o",
            color=colour, label=label, markersize=4,
        )  # fmt: skip
        axis.fill_between(
            x, scale * shown[f"{name}_min"], scale * shown[f"{name}_max"], color=colour, alpha=0.13, lw=0
        )
    axis.set_xscale("log")
    axis.set_xticks(table["references"], labels=table["references"].astype(str))
    axis.minorticks_off()
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25, lw=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    if len(lines) > 1:
        axis.legend(fontsize=7.5, frameon=False)


def reference_sufficiency(
    model: Any,
    sequences: Any,
    method: Method,
    *,
    target: Target | int | Callable[[Any], Tensor] = Output(0),  # noqa: B008  (frozen)
    counts: Sequence[int] = (1, 2, 5, 20, 50),
    seeds: Any = None,
    extra_inputs: Sequence[Any] = (),
    names: Sequence[str] | None = None,
    top: float = 0.05,
    **options: Any,
) -> Sufficiency:
    """Compare the contributions from few references with those from many, on the same regions.

    A few dozen regions say enough. The cost is about two model evaluations with gradient per region and
    reference of the largest number; methods whose multipliers do not depend on references (Saliency, TISM,
    ISM) run once, and ExpectedGradients, whose points depend on the number, once per number.

    Parameters
    ----------
    model, sequences, target, seeds, extra_inputs
        See :func:`~cislex.attribution.attribute`.
    method
        Whatever its number of references, ``counts`` are used: the first k of the largest.
    counts
        Numbers of references; the largest is the standard.
    names
        N names for the column ``region``; by default the sequences' numbers.
    top
        Fraction of the bases that count as strongest.
    options
        Passed on to ``attribute``: ``batch_size``, ``device``, ``precision`` …

    Returns
    -------
    Sufficiency
        Table, and figure.

    Raises
    ------
    ConfigError
        Fewer than two numbers, or more references asked for than there are.

    Examples
    --------
    >>> found = reference_sufficiency(model, sequences, DeepLiftShap(), counts=(2, 10))
    >>> found.regions[found.regions["references"] == 10]["pearson"].tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    x = check_sequences(sequences)
    wanted = _checked_counts(counts)
    checked = check_seeds(seeds, len(x))
    extra = check_extra(extra_inputs, len(x))
    if not 0 < top <= 1:
        raise ConfigError(f"top: found {top}, expected above 0 and at most 1")
    if not len(x):
        raise InputError("sequences: found none, expected at least one region")
    labels = list(range(len(x))) if names is None else list(names)
    if len(labels) != len(x):
        raise InputError(f"names: found {len(labels)}, expected {len(x)}, one per sequence")
    references = _references(method.references, wanted[-1], x)
    step = max(1, _BLOCK // (wanted[-1] * x.shape[2]))
    measured = []
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        chosen = references.rows(rows) if isinstance(references, FixedReferences) else references
        refs = make_references(chosen, x[rows], None if checked is None else checked[rows])[:, : wanted[-1]]
        call = _Call(model, method, {**options, "target": target}, [item[rows] for item in extra])
        sets = call.sets(x[rows], refs, wanted)
        for i, known in enumerate(x[rows].bool().any(1).numpy()):
            of_region = {count: values[i][:, known] for count, values in sets.items()}
            measured += [{"region": labels[start + i], **row} for row in _measure(of_region, top)]
    return Sufficiency(wanted, pd.DataFrame(measured), method.name, top)


def _checked_counts(counts: Sequence[int]) -> tuple[int, ...]:
    found = tuple(sorted({int(count) for count in counts}))
    if len(found) < 2 or found[0] < 1 or any(int(count) != count for count in counts):
        raise ConfigError(f"counts: found {tuple(counts)}, expected at least two whole numbers from 1 on")
    return found


def _references(references: Any, largest: int, x: Tensor) -> Any:
    """The same kind of references, the largest number of them."""
    if isinstance(references, Zeros | Uniform):
        raise ConfigError(
            f"references: found {type(references).__name__}, which is a single, fixed reference; what to "
            "do: give shuffles or genomic windows, for example DinucleotideShuffle()"
        )
    if isinstance(references, DinucleotideShuffle | Shuffle | GenomicWindows):
        return dataclasses.replace(references, n=largest)
    given = number_of(references, x)
    if given < largest:
        raise ConfigError(
            f"counts: found {largest}, but {type(references).__name__} gives {given} references per sequence"
        )
    return references


@dataclass(frozen=True)
class _Call:
    """One way to attribute: everything but sequences and references."""

    model: Any
    method: Method
    options: dict[str, Any]
    extra: list[Tensor]

    def sets(self, x: Tensor, refs: Tensor, counts: Sequence[int]) -> dict[int, Matrix]:
        """Contributions with disjoint sets of each number of references, (n, sets, L) each."""
        r = refs.shape[1]
        if isinstance(self.method, ExpectedGradients):
            return {count: self._of_sets(x, refs, count) for count in counts}
        if isinstance(self.method, Saliency | TISM | ISM):
            singles = self._of_one_pass(x, refs)
        else:
            singles = self._of_sets(x, refs, 1)
        return {
            count: singles[:, : r // count * count].reshape(len(x), r // count, count, -1).mean(2)
            for count in counts
        }

    def _of_sets(self, x: Tensor, refs: Tensor, size: int) -> Matrix:
        """Attribute each region once per set of ``size`` references."""
        sets = refs.shape[1] // size
        grouped = refs[:, : sets * size].reshape(len(x) * sets, size, *refs.shape[2:])
        result = self._attribute(x.repeat_interleave(sets, 0), grouped, sets)
        return result.contributions.double().sum(1).reshape(len(x), sets, -1).numpy()

    def _of_one_pass(self, x: Tensor, refs: Tensor) -> Matrix:
        """Single references of a method whose multipliers do not depend on them: x·M − r·M."""
        multipliers = self._attribute(x, refs[:, :1], 1).multipliers.double()
        own = torch.einsum("ncl,ncl->nl", x.double(), multipliers).unsqueeze(1)
        known = x.bool().any(1).unsqueeze(1)
        return (own - known * torch.einsum("nrcl,ncl->nrl", refs.double(), multipliers)).numpy()

    def _attribute(self, x: Tensor, refs: Tensor, times: int) -> Any:
        method = dataclasses.replace(self.method, references=FixedReferences(refs))
        extra = [item.repeat_interleave(times, 0) for item in self.extra]
        return attribute(self.model, x, method, extra_inputs=extra, keep_global=False, **self.options)


def _measure(sets: dict[int, Matrix], top: float) -> list[dict[str, float]]:
    """Measures of one region; the sets of each number have shape (sets, known bases)."""
    fewest, largest = min(sets), max(sets)
    final = sets[largest][0]
    size = np.sqrt(np.mean(final**2)) if final.size else np.nan
    single = fewest * _variance(sets[fewest])
    centred = sets[fewest] - sets[fewest].mean(1, keepdims=True)  # what all bases share is no noise here
    noise = fewest * _variance(centred)
    signal = max(0.0, float(np.var(final)) - noise / largest) if final.size else np.nan
    strongest = _strongest(final, top)
    rows = []
    for count, values in sorted(sets.items()):
        total = signal + noise / count
        rows.append(
            {
                "references": count,
                "sets": len(values),
                "pearson": _correlation(values[0], final),
                "spearman": _correlation(_ranks(values[0]), _ranks(final)),
                "top_overlap": len(strongest & _strongest(values[0], top)) / max(1, len(strongest)),
                "spread": float(np.sqrt(_variance(values)) / size) if size > 0 else np.nan,
                "expected_error": float(np.sqrt(single / count) / size) if size > 0 else np.nan,
                "expected_pearson": float(np.sqrt(signal / total)) if total > 0 else np.nan,
            }
        )
    return rows


def _variance(values: Matrix) -> float:
    """Variance over sets, mean over bases; NaN for one set."""
    return float(values.var(0, ddof=1).mean()) if len(values) > 1 and values.shape[1] else float("nan")


def _correlation(one: Matrix, other: Matrix) -> float:
    """Pearson's, or NaN where either varies no more than rounding does."""
    if not one.size:
        return float("nan")
    a, b = one - one.mean(), other - other.mean()
    sizes = np.linalg.norm(a), np.linalg.norm(b)
    if sizes[0] <= 1e-9 * np.linalg.norm(one) or sizes[1] <= 1e-9 * np.linalg.norm(other):
        return float("nan")
    return float(np.clip(a @ b / (sizes[0] * sizes[1]), -1, 1))


def _ranks(values: Matrix) -> Matrix:
    return np.asarray(pd.Series(values).rank(), dtype=np.float64)


def _strongest(values: Matrix, top: float) -> set[int]:
    """The bases of the largest absolute contributions, at least one."""
    count = min(len(values), max(1, round(top * len(values))))
    return set(np.argsort(-np.abs(values), kind="stable")[:count].tolist())
