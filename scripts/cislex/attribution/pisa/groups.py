"""Groups of profile positions that are attributed together, on the columns that they can see."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from cislex.attribution.api import attribute_tried
from cislex.attribution.execution.batching import is_out_of_memory
from cislex.attribution.execution.model_context import PreparedModel, prepare_model, unwrap
from cislex.attribution.execution.strands import reverse_complement, turn_extra, turn_method
from cislex.attribution.methods import ISM, DeepLiftShap, ExpectedGradients, Method
from cislex.attribution.mutagenesis.independence import check_independence
from cislex.attribution.mutagenesis.neighbours import made_by, make_trial
from cislex.attribution.mutagenesis.windows import check_positions
from cislex.attribution.notes import unite_notes
from cislex.attribution.pisa.receptive_field import Reach, find_reach
from cislex.attribution.references import FixedReferences, make_references
from cislex.attribution.result import Attribution
from cislex.attribution.validation import check_extra, check_seeds, check_sequences, probe
from cislex.errors import ConfigError, ModelError
from cislex.logs import get_logger
from cislex.targets import Output, Target, select_head

#: Sequences whose references are kept at once.
TOGETHER = 16
#: Most positions that share a forward pass.
MOST = 64
#: Notes of single attributions that are told of all.
KEPT = ("incomplete", "unseen")
#: Largest difference of columns and whole sequences, relative to the largest value.
_SAME = {"float64": 1e-9, "float32": 1e-4, "tf32": 5e-3, "bfloat16": 0.1}


@dataclass(frozen=True)
class PositionBatch:
    """Some sequences × some positions, on the columns that were computed; all others have zero."""

    #: Rows of the sequences.
    rows: slice
    #: (m,) int64: which of the positions that were asked for, as indices into them.
    chosen: Tensor
    #: First column.
    start: int
    #: One per position, of the columns from ``start`` on.
    attributions: list[Attribution]


@dataclass
class Job:
    """The checked request."""

    prepared: PreparedModel
    x: Tensor
    method: Method
    positions: Tensor
    index: tuple[int, ...]
    head: int | str | None
    seeds: Any
    extra: tuple[Tensor, ...]
    batch_size: int | None
    reach: Reach | None
    notes: dict[str, str]
    compared: bool = False
    #: Whether attributions that do not sum up are accepted.
    allow_incomplete: bool = False

    #: The other strand: its sequences, positions and tracks; ``notes`` are the same.
    other: Job | None = None
    _whole: tuple[slice, Tensor, Tensor] | None = None

    def batches(self) -> Iterator[PositionBatch]:
        """All sequences, all positions."""
        order = self.positions.argsort(stable=True)
        for start in range(0, len(self.x), TOGETHER):
            rows = slice(start, min(start + TOGETHER, len(self.x)))
            refs = self._references(rows)
            done = 0
            while done < len(order):
                group = order[done : done + self._together(self.positions[order[done:]])]
                batch = self._checked(rows, refs, group)
                if self.other is not None:
                    there = self.other._checked(rows, reverse_complement(refs), group)
                    batch = _both_strands(batch, there, self.x[rows])
                yield batch
                done += len(group)

    def _checked(self, rows: slice, refs: Tensor, group: Tensor) -> PositionBatch:
        """Some positions, compared with whole sequences, or of these where they differ."""
        while True:
            batch = self._batch(rows, refs, group)
            if self.reach is None:
                return batch
            if self._whole is None or self._whole[0] != rows:
                self._whole = (rows, *self._plain(rows, refs))
            reason = self._differs(batch, refs, self._whole[1:])
            if reason is None:
                return batch
            self._give_up(reason)

    def _references(self, rows: slice) -> Tensor:
        chosen = self.method.references
        chosen = chosen.rows(rows) if isinstance(chosen, FixedReferences) else chosen
        return make_references(chosen, self.x[rows], None if self.seeds is None else self.seeds[rows])

    def _together(self, ascending: Tensor) -> int:
        """How many of the next positions go together.

        m neighbours that see w columns each cost (w + m) (1 + 2 m) / m per position, one forward and m
        backward passes; that is least at m = √(w / 2).
        """
        if self.reach is None:
            return MOST
        most = min(MOST, max(1, round(math.sqrt(self.reach.width / 2))))
        return int((ascending[:most] - ascending[0] < most).sum())

    def _batch(self, rows: slice, refs: Tensor, group: Tensor) -> PositionBatch:
        """Some positions, on the columns that they see."""
        chosen = self.positions[group]
        start, stop = 0, self.x.shape[2]
        if self.reach is not None:
            start, stop = self.reach.columns(int(chosen.min()), int(chosen.max()))
        return PositionBatch(rows, group, start, self._attribute(rows, refs, chosen.tolist(), start, stop))

    def _attribute(
        self, rows: slice, refs: Tensor, chosen: list[int], start: int, stop: int
    ) -> list[Attribution]:
        targets: list[Target] = [Output((*self.index, p - start), self.head) for p in chosen]
        found = attribute_tried(
            self.prepared.model,
            self.x[rows, :, start:stop],
            replace(self.method, references=FixedReferences(refs[..., start:stop])),
            targets,
            seeds=None if self.seeds is None else self.seeds[rows],
            extra_inputs=[item[rows] for item in self.extra],
            batch_size=self.batch_size,
            device=self.prepared.device,
            precision=self.prepared.precision,
            keep_global=False,
            allow_incomplete=self.allow_incomplete,
        )
        common = ((key, item.notes[key]) for item in found for key in KEPT if key in item.notes)
        self.notes.update(common)
        return found

    def _plain(self, rows: slice, refs: Tensor) -> tuple[Tensor, Tensor]:
        """Profiles (n, positions) and (n, R, positions) of whole sequences, a few rows at a time."""
        flat = torch.cat([self.x[rows].to(refs.dtype), refs.flatten(0, 1)])
        found = []
        with self.prepared.active(), torch.no_grad():
            for part in flat.split(8):
                several = part if len(part) > 1 else part.repeat(2, 1, 1)
                given = several.to(self.prepared.device, self.prepared.dtype)
                found.append(_profile(self.prepared.model(given), self.index, self.head)[: len(part)].cpu())
        values = torch.cat(found).double()
        n = rows.stop - rows.start
        return values[:n], values[n:].unflatten(0, (n, -1))

    def _differs(self, batch: PositionBatch, refs: Tensor, plain: tuple[Tensor, Tensor]) -> str | None:
        """How what the columns give differs from what whole sequences give, or None."""
        chosen, tolerance = self.positions[batch.chosen], _SAME[self.prepared.precision]
        found = [torch.stack([item.prediction for item in batch.attributions], 1)]
        expected = [plain[0][:, chosen]]
        if batch.attributions[0].reference_prediction is not None:
            found += [item.reference_prediction for item in batch.attributions]  # type: ignore[misc]
            expected += list(plain[1][..., chosen].unbind(2))
        scale = max(float(plain[0].abs().max()), 1e-12)
        worst = max(float((a - b).abs().max()) for a, b in zip(found, expected, strict=True)) / scale
        if not worst <= tolerance:
            return f"values differ by {worst:.1e} of their scale"
        if self.compared:
            return None
        self.compared = True
        one, length = slice(batch.rows.start, batch.rows.start + 1), self.x.shape[2]
        whole = self._attribute(one, refs[:1], [int(chosen[0]), int(chosen[-1])], 0, length)
        for ours, theirs in zip((batch.attributions[0], batch.attributions[-1]), whole, strict=True):
            full = torch.zeros_like(theirs.multipliers)
            full[:, :, batch.start : batch.start + ours.multipliers.shape[2]] = ours.multipliers[:1]
            scale = max(float(theirs.multipliers.abs().max()), 1e-12)
            worst = float((full - theirs.multipliers).abs().max()) / scale
            if not worst <= tolerance:
                return f"multipliers differ by {worst:.1e} of their scale"
        return None

    def _give_up(self, reason: str) -> None:
        """Whole sequences from now on."""
        get_logger(__name__).warning("positions: whole sequences are computed (%s)", reason)
        self.notes["columns"] = f"whole sequences: {reason}"
        self.reach = None


def _both_strands(here: PositionBatch, there: PositionBatch, x: Tensor) -> PositionBatch:
    """The average of the same positions seen from both strands, on the columns that either computed.

    ``x`` are the sequences (m, 4, L) of this strand.
    """
    length = x.shape[2]
    widths = [batch.attributions[0].multipliers.shape[2] for batch in (here, there)]
    turned = length - there.start - widths[1]
    start, stop = min(here.start, turned), max(here.start + widths[0], turned + widths[1])

    def placed(values: Tensor, first: int) -> Tensor:
        return pad(values, (first - start, stop - first - values.shape[-1]))

    def mean(a: Tensor | None, b: Tensor | None) -> Tensor | None:
        return None if a is None or b is None else 0.5 * (a + b)

    found = [
        Attribution(
            multipliers=0.5
            * (placed(a.multipliers, here.start) + placed(reverse_complement(b.multipliers), turned)),
            baseline=0.5 * (placed(a.baseline, here.start) + placed(b.baseline.flip(-1), turned)),
            sequences=x[:, :, start:stop],
            prediction=0.5 * (a.prediction + b.prediction),
            reference_prediction=mean(a.reference_prediction, b.reference_prediction),
            delta=mean(a.delta, b.delta),
            notes=unite_notes(a.notes, b.notes),
        )
        for a, b in zip(here.attributions, there.attributions, strict=True)
    ]
    return PositionBatch(here.rows, here.chosen, start, found)


def _profile(output: Any, index: tuple[int, ...], head: int | str | None) -> Tensor:
    """(B, positions) of a model's output."""
    values = select_head(output, head)
    for i in index:
        values = values.select(1, i)
    return values


def prepare_positions(
    model: Any,
    sequences: Any,
    method: Method | None,
    *,
    positions: Any = None,
    index: int | tuple[int, ...] | None = None,
    head: int | str | None = None,
    seeds: Any = None,
    extra_inputs: Sequence[Any] = (),
    batch_size: int | None = None,
    device: str | torch.device | None = None,
    precision: str | None = None,
    reverse_complement: bool = False,
    reverse_index: int | tuple[int, ...] | None = None,
    crop: bool = True,
    allow_incomplete: bool = False,
) -> Job:
    """Check the arguments, before any expensive work."""
    x = check_sequences(sequences)
    extra = check_extra(extra_inputs, len(x))
    prepared = prepare_model(unwrap(model), device, precision)
    method = method or DeepLiftShap()
    where = (index,) if isinstance(index, int) else index
    job = Job(
        prepared, x, method, torch.zeros(0, dtype=torch.int64), where or (), head,
        check_seeds(seeds, len(x)), extra, batch_size, None, {"precision": prepared.precision},
        allow_incomplete=allow_incomplete,
    )  # fmt: skip
    if not len(x):
        job.positions = check_positions([] if positions is None else positions, 0, 2**31)
        return job
    given = x[:1].to(prepared.device, prepared.dtype)
    with prepared.active(), torch.no_grad():
        first = [item[:1].to(prepared.device) for item in extra]
        first = [item.to(prepared.dtype) if item.is_floating_point() else item for item in first]
        probe(prepared.model, given, first, [])
        output = prepared.model(*(item.repeat_interleave(2, 0) for item in (given, *first)))
        if head is None and isinstance(output, tuple | list) and len(output) > 1:
            job.head = 0
        values = select_head(output, job.head)
        made = made_by(method, given[0], job._references(slice(0, 1))[0])
        check_independence(make_trial(prepared, x, extra, None, made, batch_size))
        job.index = _full_index(values, where)
        size = _profile(output, job.index, job.head).shape[1]
        job.positions = check_positions(positions, 0, size - 1)
        if job.positions.ndim != 1:
            raise ConfigError(f"positions: found shape {tuple(job.positions.shape)}, expected (P,)")
        if crop and not extra and _slides(method):
            job.reach = _reach(job, given)
    if reverse_complement:
        job.other = _other_strand(job, values, size, reverse_index)
    if job.reach is not None:
        job.notes["columns"] = f"{job.reach.width} of {x.shape[2]} seen by each position"
    return job


def _other_strand(job: Job, values: Tensor, size: int, reverse_index: int | tuple[int, ...] | None) -> Job:
    """The same as the other strand sees it: position p of a profile is size − 1 − p there."""
    where = (reverse_index,) if isinstance(reverse_index, int) else reverse_index
    length = job.x.shape[2]
    job.notes["strands"] = "average of both"
    return replace(
        job,
        x=reverse_complement(job.x),
        method=job.method if _slides(job.method) else turn_method(job.method, length),
        positions=size - 1 - job.positions,
        index=job.index if where is None else _full_index(values, where),
        extra=tuple(turn_extra(item, length) for item in job.extra),
    )


def _full_index(values: Tensor, index: tuple[int, ...] | None) -> tuple[int, ...]:
    """Entries of all axes between rows and positions."""
    between = tuple(values.shape[1:-1])
    if values.ndim >= 2 and index is None and all(size == 1 for size in between):
        return (0,) * len(between)
    fits = index is not None and len(index) == len(between)
    if (
        values.ndim < 2
        or not fits
        or not all(0 <= i < size for i, size in zip(index or (), between, strict=True))
    ):
        raise ModelError(
            f"positions: found index {index} for an output of shape {('N', *values.shape[1:])}; expected one "
            "entry for each axis between rows and positions, such as the track"
        )
    return tuple(index or ())


def _slides(method: Method) -> bool:
    """Whether a method does the same on some of the columns; random points and windows are of the whole."""
    if isinstance(method, ISM):
        return method.start == 0 and method.end is None
    return not isinstance(method, ExpectedGradients)


def _reach(job: Job, given: Tensor) -> Reach | None:
    """What positions can see, where that is less than everything and the model takes shorter sequences."""

    def profile(rows: Tensor) -> Tensor:
        return _profile(job.prepared.model(rows), job.index, job.head)

    try:
        reach = find_reach(profile, given)
        if reach is None or reach.width > 0.9 * reach.length:
            return None
        middle = profile(given.repeat(2, 1, 1)).shape[1] // 2
        start, stop = reach.columns(middle, middle)
        shorter = profile(given[..., start:stop].repeat(2, 1, 1)).shape[1]
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    else:
        if shorter == stop - start - reach.trimmed:
            return reach
        reason = f"{stop - start} columns give {shorter} positions"
    get_logger(__name__).info("positions: whole sequences are computed (%s)", reason)
    job.notes["columns"] = f"whole sequences: {reason}"
    return None
