"""Attribution of one chunk of regions by one fold of a model: streamed, resumable, one HDF5 file at the end.

A chunk file holds, for each target of its job, ``hypothetical`` float32 (n, 4, L), ``baseline`` float32
(n, L), ``prediction`` float32 (n,), and for methods that promise completeness ``reference_prediction`` and
``delta`` float32 (n, references) and ``max_relative_delta`` float32 (n,); where it is asked for,
``reference_spread`` float32 (n, L). It has every row of its slice and no copy of the sequences;
``computed`` bool (n,) tells rows that were left to other folds, which are zero. Where windows of the regions
are stored, L is their width, and ``window_share`` float32 (n,) is the share of Σ|contribution| of the region
that lies in the window. Quality gates are applied when chunks are aggregated.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cislex import provenance
from cislex.attribution import Attribution, attribute_batches
from cislex.chunks import methods_from_config
from cislex.chunks.files import read_reference_number, require_inspected
from cislex.chunks.filling import Batch, fill_checkpoint
from cislex.chunks.region_weights import RegionWeights, interval_files
from cislex.chunks.slices import slice_of
from cislex.chunks.stored import stored_batches
from cislex.chunks.thinning import storage_from
from cislex.chunks.writing import write_chunk
from cislex.errors import CompletenessError
from cislex.files.checkpoint import Checkpoint, partial_path
from cislex.files.tables import FORMAT_VERSION, digest_regions, has_coordinates
from cislex.logs import get_logger
from cislex.models.loading import LoadedModel, check_model, load_model
from cislex.provenance import code_digest, versions
from cislex.runtime.devices import claim
from cislex.sequences.region_errors import naming_regions
from cislex.sequences.store import SequenceStore, held_out_rows
from cislex.sequences.stored_windows import Ints, Windows, WindowStore, open_stored
from cislex.targets import targets

#: Regions handed to the attribution module at once, and their bases: bounds memory, not results.
BLOCK, BLOCK_BASES = 4096, 1 << 26

logger = get_logger(__name__)


@dataclasses.dataclass(frozen=True)
class ChunkJob:
    """What to attribute: the slice, the model's fold, the targets and the method, all plain values.

    Parameters
    ----------
    chunk, chunks
        This chunk's number (from 0) and the number of chunks.
    fold
        Name of the fold; part of the references' seeds unless ``same_references``.
    targets
        Settings of each target by name, for example ``{"counts": {"kind": "output", "index": 0}}``.
    method
        Settings of the method (``name``, ``rule``, ``references``, …).
    seed
        Seed of the run.
    same_references
        Give every fold the same references.
    precision
        ``float32``, ``tf32``, ``bfloat16`` or ``float64``.
    reverse_complement
        Attribute the average of both strands' predictions.
    held_out
        Chromosomes that each fold did not see in training, where each region is to be attributed by the
        fold that held it out alone; None for every fold on every region.
    uncertainty
        Keep ``reference_spread``: how far contributions with single references differ.
    window
        Columns ``[start, end)`` of each region that are stored; None: all. The model sees whole regions.
    storage
        Fields of :class:`cislex.chunks.thinning.Storage`, where each region belongs to one fold; None: all is
        stored. (Of several folds, the mean is rounded or thinned out.)
    allow_incomplete
        Accept attributions whose first region does not sum up (``cislex.attribution.attribute``). Changes no
        number, and so no digest.
    """

    chunk: int
    chunks: int
    fold: str
    targets: Mapping[str, Mapping[str, Any]]
    method: Mapping[str, Any]
    seed: int = 0
    same_references: bool = False
    precision: str = "float32"
    reverse_complement: bool = False
    held_out: Mapping[str, Sequence[str]] | None = None
    uncertainty: bool = False
    window: tuple[int, int] | None = None
    storage: Mapping[str, Any] | None = None
    allow_incomplete: bool = False

    def bounds(self, n: int) -> tuple[int, int]:
        """First and one-past-last row of this chunk among ``n`` rows; empty chunks are valid."""
        rows = slice_of(self.chunk, self.chunks, n)
        return rows.start, rows.stop


def attribute_chunk(
    sequences: str | Path,
    weights: str | Path,
    out: str | Path,
    job: ChunkJob,
    *,
    model: Mapping[str, Any],
    inspected: str | Path | None = None,
    references: str | Path | None = None,
    windows: str | Path | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    threads: int = 1,
    deadline: float | None = None,
    gate: Mapping[str, Any] | None = None,
) -> None:
    """Attribute one chunk and write it atomically.

    Finished batches go to ``<out>.partial`` as they come, so that a job that is stopped or killed goes on
    from there; the final file is made from them at the end.

    Parameters
    ----------
    sequences
        ``sequences.h5``.
    weights, model
        The weights, and the other settings of :func:`cislex.models.loading.load_model`.
    out
        The chunk file.
    job
        What to attribute.
    inspected
        ``inspected.json`` of the analysis: a model that is another one by now is refused.
    references
        ``references.json``, whose number of references replaces that of the method.
    windows
        ``windows.tsv``, whose windows are the rows that are stored; in place of ``job.window``. ISM mutates
        these alone.
    batch_size
        Example-reference pairs at once; chosen from free memory when not given.
    device
        ``auto``, ``cpu``, ``cuda`` (a free one is claimed) or ``cuda:1``.
    threads
        Threads of torch on the CPU.
    deadline
        Seconds since 1970 before which the job stops by itself.
    gate
        ``max_relative_delta`` and ``on_fail`` of the quality gate. Where that is ``error``, the first batch
        with a region over the limit stops the job, since aggregation would refuse it in the end.

    Raises
    ------
    InputError, ModelError, StorageError, DeadlineError, CompletenessError
        Before anything is computed where possible; nothing is left under ``out``.
    """
    torch.set_num_threads(threads)
    if references is not None:
        method = methods_from_config.with_references(job.method, read_reference_number(references))
        job = dataclasses.replace(job, method=method)
    loaded = load_model(weights=weights, **model)
    if inspected is not None:
        require_inspected(inspected, job.fold, loaded.digest, weights)
    with (
        SequenceStore(sequences) as store,
        open_stored(sequences, job.window if windows is None else Windows.read(windows)) as kept_columns,
        claim(device) as where,
    ):
        check_model(loaded, store.length)
        start, stop = job.bounds(kept_columns.n)
        rows = own_rows(kept_columns, job, start, stop)
        stage = _stage(job, loaded.digest, store.source_digest)
        if windows is not None:
            stage["windows"] = provenance.digest_file(Path(windows))
        regions = digest_regions(kept_columns.regions(start, stop))
        place = {"bounds": [start, stop, kept_columns.n], "regions": regions}
        identity = {**stage, **place, "code": code_digest(), "versions": versions()}
        logger.info(
            "chunk %d of %d: rows %d to %d of %d", job.chunk + 1, job.chunks, start, stop, kept_columns.n
        )
        with Checkpoint(partial_path(out), identity) as log:
            done = log.rows
            if done:
                logger.info("resuming: %d regions are already done", done)
            began = time.monotonic()
            batches = _batches(
                loaded, store, kept_columns, job, rows[done:], gate, batch_size=batch_size, device=where
            )
            fill_checkpoint(log, batches, len(rows), label="attribute", deadline=deadline)

            def attributes() -> dict[str, Any]:
                return {
                    "format_version": FORMAT_VERSION,
                    "start": start,
                    "stop": stop,
                    "n_regions": kept_columns.n,
                    **dataclasses.asdict(job),
                    "model_digest": loaded.digest,
                    "source_digest": store.source_digest,
                    "regions_digest": regions,
                    **_stage_digests(stage),
                    "versions": versions(),
                    "device": where,
                    "regions_per_second": (len(rows) - done) / max(time.monotonic() - began, 1e-9),
                    "resumed_at": done,
                }

            shape = (stop - start, kept_columns.length)
            write_chunk(out, log, list(job.targets), rows - start, shape, attributes)
            seconds = time.monotonic() - began
            log.remove()
    logger.info("%d regions in %.1f s (%.1f/s)", len(rows) - done, seconds, (len(rows) - done) / seconds)


def _batches(
    loaded: LoadedModel,
    store: SequenceStore,
    stored: SequenceStore,
    job: ChunkJob,
    rows: Ints,
    gate: Mapping[str, Any] | None,
    *,
    batch_size: int | None,
    device: str,
) -> Iterator[Batch]:
    """Attribute the regions of some rows of what is stored, batch by batch."""
    storage, partial = storage_from(job.storage), job.method["name"] == "ism"
    windows = stored.windows if isinstance(stored, WindowStore) else None
    regions = rows if windows is None else windows.rows[rows]
    own = None if windows is None else Windows(regions, windows.starts[rows], windows.width)
    parts = [(regions, own, job)]
    if partial and own is not None:  # each region where its own window lies
        parts = list(_by_window(own, job))
    for some, where, settings in parts:
        each = np.unique(some)
        work = attribute_rows(loaded, store, settings, each, batch_size=batch_size, device=device)
        gated = _gated(work, store, each, list(job.targets), gate)
        yield from stored_batches(gated, some, where, partial=partial, storage=storage)


def _by_window(windows: Windows, job: ChunkJob) -> Iterator[tuple[Ints, Windows, ChunkJob]]:
    """Windows in groups of neighbours that begin at one column, and the job that mutates these columns."""
    # A group has each region once.
    breaks = (np.diff(windows.starts) != 0) | (np.diff(windows.rows) == 0)
    edges = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(windows.rows)]
    for low, high in itertools.pairwise(edges):
        if low < high:
            start = int(windows.starts[low])
            method = {**job.method, "start": start, "end": start + windows.width}
            own = Windows(windows.rows[low:high], windows.starts[low:high], windows.width)
            yield own.rows, own, dataclasses.replace(job, method=method)


def own_rows(store: SequenceStore, job: ChunkJob, start: int, stop: int) -> NDArray[np.int64]:
    """Rows of the chunk that this fold attributes: all, or those on the chromosomes that it held out.

    Raises
    ------
    InputError
        When a region lies on a chromosome that no fold held out.
    """
    rows = np.arange(start, stop)
    if job.held_out is None:
        return rows
    return rows[held_out_rows(store.regions(start, stop)["chrom"], job.held_out, job.fold)]


def _stage(job: ChunkJob, model: str, sequences: str) -> dict[str, Any]:
    """What the numbers of every chunk of a fold depend on."""
    stage = {**dataclasses.asdict(job), "model": model, "sequences": sequences}
    del stage["chunk"], stage["allow_incomplete"]
    for key in ("uncertainty", "window", "storage"):
        if not stage[key]:  # as in files of before, which lack the key
            del stage[key]
    if read := interval_files(targets.all_from_config(job.targets).values()):
        stage["intervals"] = {path: provenance.digest_file(Path(path)) for path in read}
    return stage


def _stage_digests(stage: Mapping[str, Any]) -> dict[str, Any]:
    """Digests of what numbers depend on in every fold: of the job, and of each target without the others."""
    whole = {**stage, "fold": None, "model": None}
    by_target = {name: provenance.digest_json(_of_target(whole, name)) for name in stage["targets"]}
    return {"stage_digest": provenance.digest_json(whole), "stage_digests": by_target}


def _of_target(stage: dict[str, Any], name: str) -> dict[str, Any]:
    """A stage as if it had one target."""
    own = {**stage, "targets": {name: stage["targets"][name]}}
    digests = own.pop("intervals", {})
    read = interval_files(targets.all_from_config(own["targets"]).values())
    return {**own, "intervals": {path: digests[path] for path in read}} if read else own


def attribute_rows(
    loaded: LoadedModel,
    store: SequenceStore,
    job: ChunkJob,
    rows: NDArray[np.int64],
    *,
    batch_size: int | None,
    device: str,
) -> Iterator[list[Attribution]]:
    """Attributions of each target for rows of a store (ascending), batch by batch."""
    method = methods_from_config.method_from_settings(job.method)
    wanted = list(targets.all_from_config(job.targets).values())
    weights = RegionWeights(store, wanted, loaded)
    step = max(1, min(BLOCK, BLOCK_BASES // store.length))
    for place in range(0, len(rows), step):
        block = rows[place : place + step]
        low, high = int(block[0]), int(block[-1]) + 1
        batches = attribute_batches(
            loaded.model,
            torch.from_numpy(store.read_rows(block)),
            method,
            targets=wanted,
            seeds=region_seeds(store, job, low, high)[block - low],
            extra_inputs=weights.of(block),
            batch_size=batch_size,
            device=device,
            precision=job.precision,
            reverse_complement=job.reverse_complement,
            keep_spread=job.uncertainty,
            allow_incomplete=job.allow_incomplete,
        )
        done = 0
        with naming_regions(store, block, lambda: done):  # noqa: B023
            for _, results in batches:
                done += len(results[0])
                yield results


def _gated(
    work: Iterator[list[Attribution]],
    store: SequenceStore,
    rows: NDArray[np.int64],
    names: Sequence[str],
    gate: Mapping[str, Any] | None,
) -> Iterator[list[Attribution]]:
    """Batches as they come; an error at the first one with a region over the limit, where that is one."""
    done = 0
    for results in work:
        if gate is not None and gate["on_fail"] == "error":
            for name, result in zip(names, results, strict=True):
                if result.max_relative_delta is not None:
                    deltas = result.max_relative_delta.numpy()
                    _refuse_over(
                        deltas, store, rows[done:], f"target {name}", float(gate["max_relative_delta"])
                    )
        done += len(results[0])
        yield results


def _refuse_over(
    deltas: NDArray[Any], store: SequenceStore, rows: NDArray[np.int64], what: str, limit: float
) -> None:
    """Stop at regions over the limit, before they are kept: a retry fails alike."""
    over = np.flatnonzero(~(deltas <= limit))
    if not len(over):
        return
    worst = int(over[np.argmax(deltas[over])])
    region = store.regions(int(rows[worst]), int(rows[worst]) + 1).iloc[0]
    worse = f"{len(over)} of {len(deltas)} regions of a batch are over qc.max_relative_delta = {limit:g}"
    where = f"{region['name']!s} {region.chrom}:{region.start}-{region.end} ({deltas[worst]:.2g})"
    raise CompletenessError(
        f"{what}: {worse}, the worst {where}; stopping now, because the quality gate would fail. "
        "Set qc.on_fail to drop or keep, raise the limit, or use precision: float64"
    )


def region_seeds(store: SequenceStore, job: ChunkJob, start: int, stop: int) -> NDArray[np.int64]:
    """Seeds of rows ``start:stop``, from genome and locus (the name, for sequences without coordinates).

    They depend on no other row, and neither on the rows' order. ``references.seed`` is added to the seed of
    the run before it is hashed: two seeds share no reference.
    """
    regions = store.regions(start, stop)
    named = regions["chrom"].where(regions["chrom"] != "", regions["name"])
    # The digest of sequences given directly is one of all of them: without it, another one changes nothing.
    genome = store.source_digest if has_coordinates(regions) else "sequences"
    source = genome if job.same_references else f"{genome}/{job.fold}"
    seed = job.seed + int((job.method.get("references") or {}).get("seed", 0))
    return provenance.locus_seeds(source, named, regions["start"], regions["end"], regions["strand"], seed)
