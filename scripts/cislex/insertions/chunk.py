"""One chunk of an experiment by one fold of a model: all constructs in some backgrounds, and some sites.

A chunk file holds, for each target, ``insertions/{target}`` float64 (n, C), the predictions of the C
constructs in n backgrounds, and ``sites/{target}`` float64 (h, 1 + 3 m), those of h sites.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cislex import provenance
from cislex.attribution.execution.batching import BatchSize
from cislex.attribution.execution.model_context import PreparedModel, prepare_model, unwrap
from cislex.attribution.execution.opened import open_for
from cislex.chunks.filling import Batch, fill_checkpoint
from cislex.chunks.slices import slice_of
from cislex.errors import ModelError, StorageError, offenders
from cislex.files.checkpoint import Checkpoint, partial_path
from cislex.files.hdf5 import new_hdf5
from cislex.files.hdf5_blocks import RowWriter
from cislex.files.tables import FORMAT_VERSION, atomic_path, create_array
from cislex.insertions.constructs import Writer
from cislex.insertions.plan_files import Plan, read_plan
from cislex.insertions.sites import site_sequences
from cislex.logs import get_logger
from cislex.models.loading import check_model, load_model
from cislex.prediction.batches import batch_rows, in_batches, target_values
from cislex.provenance import code_digest, versions
from cislex.runtime.devices import claim
from cislex.targets import Target, targets

#: Sequences that are predicted between two records of the checkpoint, about.
BLOCK = 4096
logger = get_logger("insertions")

Codes = NDArray[np.uint8]
Values = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class InsertionJob:
    """What to compute, all plain values.

    Parameters
    ----------
    chunk, chunks
        This chunk's number (from 0) and the number of chunks.
    fold
        Name of the fold.
    targets
        Settings of each target by name.
    precision
        ``float32``, ``tf32``, ``bfloat16`` or ``float64``.
    reverse_complement
        Predict both strands of every sequence, and average.
    """

    chunk: int
    chunks: int
    fold: str
    targets: Mapping[str, Mapping[str, Any]]
    precision: str = "float32"
    reverse_complement: bool = False


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A model made ready, and the targets that are read."""

    prepared: PreparedModel
    targets: tuple[Target, ...]
    both_strands: bool
    size: BatchSize

    def __call__(self, codes: Codes, name: str) -> Values:
        """Values of T targets for sequences, (T, n)."""
        values = np.empty((len(self.targets), len(codes)))
        batches = in_batches(
            lambda chosen: target_values(
                self.prepared, self.targets, codes[chosen], both_strands=self.both_strands
            ),
            len(codes),
            self.size,
            lambda number: f"sequence {number} of {name}",
        )
        for chosen, found in batches:
            if not np.isfinite(found).all():
                wrong = [str(self.targets[t]) for t in np.flatnonzero(~np.isfinite(found).all(axis=1))]
                raise ModelError(f"target {offenders(wrong)} is NaN or infinite for sequences of {name}")
            values[:, chosen] = found
        return values


def make_predictor(
    model: Any,
    wanted: Sequence[Target],
    length: int,
    *,
    device: str | torch.device | None = None,
    precision: str | None = None,
    both_strands: bool = False,
    batch_size: int | None = None,
) -> Predictor:
    """Make a model ready for sequences of a length in bp; see :func:`cislex.attribution.attribute`."""
    prepared = prepare_model(open_for(unwrap(model), wanted), device, precision)
    size = BatchSize(prepared.device, batch_size or batch_rows(length), length)
    return Predictor(prepared, tuple(wanted), both_strands, size)


def predict_constructs(
    predictor: Predictor, plan: Plan, rows: slice, *, block: int = BLOCK
) -> Iterator[tuple[int, Values]]:
    """Predict all constructs in some backgrounds, block by block: how many, and values (n, T, C)."""
    constructs = plan.grid().constructs
    writer, whole = Writer(plan.inserts, constructs), slice(0, len(constructs))
    step = max(1, block // len(constructs))
    part = max(1, block)
    for first in range(rows.start, rows.stop, step):
        last = min(first + step, rows.stop)
        found = []
        for number in range(first, last):
            bases = writer.bases(plan.seed, number)
            found.append((plan.backgrounds[number], bases))
        if len(found) > 1:
            codes = np.concatenate([writer.write(*one, whole) for one in found])
            values = predictor(codes, f"backgrounds {plan.names[first]} to {plan.names[last - 1]}")
        else:  # perhaps many constructs
            cuts = [slice(low, min(low + part, len(constructs))) for low in range(0, len(constructs), part)]
            name = f"background {plan.names[first]}"
            values = np.concatenate([predictor(writer.write(*found[0], cut), name) for cut in cuts], axis=1)
        yield last - first, values.reshape(len(values), last - first, -1).swapaxes(0, 1)


def predict_sites(
    predictor: Predictor, plan: Plan, rows: slice, *, block: int = BLOCK
) -> Iterator[tuple[int, Values]]:
    """Predict the sequences of some sites, block by block: how many, and values (n, T, 1 + 3 m)."""
    if plan.site_settings is None or rows.start == rows.stop:
        return
    settings = plan.site_settings
    step = max(1, block // (1 + 3 * settings.contexts))
    for first in range(rows.start, rows.stop, step):
        numbers = range(first, min(first + step, rows.stop))
        codes = [site_sequences(plan.sites, number, plan.backgrounds, settings) for number in numbers]
        values = predictor(np.concatenate(codes), f"sites {first} to {numbers[-1]}")
        yield len(numbers), values.reshape(len(values), len(numbers), -1).swapaxes(0, 1)


def insert_chunk(
    plan: str | Path,
    weights: str | Path,
    out: str | Path,
    job: InsertionJob,
    *,
    model: Mapping[str, Any],
    batch_size: int | None = None,
    device: str = "auto",
    threads: int = 1,
    deadline: float | None = None,
) -> None:
    """Compute one chunk and write it atomically; a job that was stopped goes on where it was.

    Parameters
    ----------
    plan
        ``plan.h5``.
    weights, model
        The weights, and the other settings of :func:`cislex.models.loading.load_model`.
    out
        The chunk file.
    job
        What to compute.
    batch_size
        Sequences at once; halved where memory is short.
    device
        ``auto``, ``cpu``, ``cuda`` (a free one is claimed) or ``cuda:1``.
    threads
        Threads of torch on the CPU.
    deadline
        Seconds since 1970 before which the job stops by itself.

    Raises
    ------
    InputError, ModelError, StorageError, DeadlineError
        Nothing is left under ``out``.
    """
    torch.set_num_threads(threads)
    found = read_plan(plan)
    loaded = load_model(weights=weights, **model)
    wanted = list(targets.all_from_config(job.targets).values())
    identity = {"model": loaded.digest, "plan": found.digest(), **dataclasses.asdict(job)}
    backgrounds = slice_of(job.chunk, job.chunks, len(found.backgrounds))
    sites = slice_of(job.chunk, job.chunks, len(found.sites))
    total = backgrounds.stop - backgrounds.start + sites.stop - sites.start
    with claim(device) as where:
        check_model(loaded, found.length)
        predictor = make_predictor(
            loaded.model,
            wanted,
            found.length,
            device=where,
            precision=job.precision,
            both_strands=job.reverse_complement,
            batch_size=batch_size,
        )
        whole = {**identity, "code": code_digest(), "versions": versions()}
        with Checkpoint(partial_path(out), whole) as log, predictor.prepared.active():
            began, kept = time.monotonic(), log.rows
            if kept:
                logger.info("resuming: %d of %d backgrounds and sites are already done", kept, total)
            work = _batches(predictor, found, backgrounds, sites, kept)
            fill_checkpoint(log, work, total, label="insert", unit="backgrounds and sites", deadline=deadline)
            _write_chunk(out, log, total, list(job.targets), found, (backgrounds, sites), identity)
            log.remove()
    logger.info("%d backgrounds and sites in %.1f s", total - kept, time.monotonic() - began)


def _batches(
    predictor: Predictor, plan: Plan, backgrounds: slice, sites: slice, kept: int
) -> Iterator[Batch]:
    """What is missing after the first ``kept`` rows: backgrounds, then sites."""
    n = backgrounds.stop - backgrounds.start
    rest = slice(backgrounds.start + min(kept, n), backgrounds.stop)
    for rows, values in predict_constructs(predictor, plan, rest):
        yield rows, {"insertions": values}, {}
    for rows, values in predict_sites(predictor, plan, slice(sites.start + max(0, kept - n), sites.stop)):
        yield rows, {"sites": values}, {}


def _write_chunk(
    out: str | Path,
    log: Checkpoint,
    total: int,
    names: Sequence[str],
    plan: Plan,
    rows: tuple[slice, slice],
    identity: Mapping[str, Any],
) -> None:
    settings = plan.site_settings
    columns = (len(plan.grid().constructs), 0 if settings is None else 1 + 3 * settings.contexts)
    with atomic_path(out) as temporary, new_hdf5(temporary) as handle:
        writers = {
            kind: [
                RowWriter(create_array(handle, f"{kind}/{name}", (part.stop - part.start, width), "f8"))
                for name in names
            ]
            for kind, part, width in zip(("insertions", "sites"), rows, columns, strict=True)
        }
        covered = 0
        for _, last, arrays, _ in log.records():
            covered = last
            for kind, values in arrays.items():
                for t, writer in enumerate(writers[kind]):
                    writer.append(np.ascontiguousarray(values[:, t]))
        if covered != total:
            raise StorageError(f"{log.path}: holds {covered} of {total} rows; delete it and run again")
        for writer in (*writers["insertions"], *writers["sites"]):
            writer.finish()
        attributes = {"format_version": FORMAT_VERSION, **identity, "versions": versions()}
        handle.attrs.update(provenance.to_attributes(attributes))
