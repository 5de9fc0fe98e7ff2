"""Attribution of one chunk of regions by one fold of a model, streamed to one HDF5 file.

A chunk file holds, for each target, ``hypothetical`` float32 (n, 4, L), ``baseline`` float32 (n, L),
``prediction`` float32 (n,), and for methods that promise completeness ``reference_prediction`` and
``delta`` float32 (n, references) and ``max_relative_delta`` float32 (n,). It holds every row of its slice
and no copy of the sequences; quality gates are applied when chunks are aggregated.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from cislex import provenance, settings, targets
from cislex.attribution import Attribution, attribute_batches
from cislex.errors import ConfigError, InputError
from cislex.logs import get_logger
from cislex.models import check_model, load_model
from cislex.sequences import SequenceStore
from cislex.storage import FORMAT_VERSION, atomic_path

#: Uncompressed bytes of one HDF5 chunk of ``hypothetical``, about.
HDF5_CHUNK_BYTES = 32768
#: Regions handed to the attribution module at once: bounds memory, not results.
BLOCK = 4096


@dataclasses.dataclass(frozen=True)
class ChunkJob:
    """What is attributed: the slice, the model's fold, the targets and the method, all plain values.

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
    """

    chunk: int
    chunks: int
    fold: str
    targets: Mapping[str, Mapping[str, Any]]
    method: Mapping[str, Any]
    seed: int = 0
    same_references: bool = False
    precision: str = "float32"

    def bounds(self, n: int) -> tuple[int, int]:
        """First and one-past-last row of this chunk among ``n`` rows; empty chunks are valid."""
        if not 0 <= self.chunk < self.chunks:
            raise ConfigError(f"chunk is {self.chunk}; expected 0 to {self.chunks - 1}")
        return self.chunk * n // self.chunks, (self.chunk + 1) * n // self.chunks


def attribute_chunk(
    sequences: str | Path,
    weights: str | Path,
    out: str | Path,
    job: ChunkJob,
    *,
    loader: str,
    module: str | None = None,
    trust_pickle: bool = False,
    batch_size: int | None = None,
    device: str = "auto",
    threads: int = 1,
) -> None:
    """Attribute one chunk and write it atomically.

    Parameters
    ----------
    sequences
        ``sequences.h5``.
    weights, loader, module, trust_pickle
        The model; see :func:`cislex.models.load_model`.
    out
        The chunk file.
    job
        What to attribute.
    batch_size
        Example-reference pairs at once; chosen from free memory when not given.
    device
        ``auto``, ``cpu`` or ``cuda``.
    threads
        Threads of torch on the CPU.

    Raises
    ------
    InputError, ModelError, StorageError
        Before anything is computed where possible; nothing is left under ``out``.
    """
    torch.set_num_threads(threads)
    logger = get_logger(__name__)
    method = settings.method_from_settings(job.method)
    wanted = [targets.from_config(dict(entry)) for entry in job.targets.values()]
    loaded = load_model(loader, weights=weights, module=module, trust_pickle=trust_pickle)
    with SequenceStore(sequences) as store, atomic_path(out) as temporary:
        start, stop = job.bounds(store.n)
        check_model(loaded, store.length)
        logger.info("chunk %d of %d: rows %d to %d of %d", job.chunk + 1, job.chunks, start, stop, store.n)
        began = time.monotonic()
        with h5py.File(temporary, "w") as handle:
            writer = _ChunkWriter(handle, list(job.targets), n=stop - start, length=store.length)
            for first in range(start, stop, BLOCK):
                last = min(first + BLOCK, stop)
                batches = attribute_batches(
                    loaded.model,
                    torch.from_numpy(store.read(first, last)),
                    method,
                    targets=wanted,
                    seeds=region_seeds(store, job, first, last),
                    batch_size=batch_size,
                    device=None if device == "auto" else device,
                    precision=job.precision,
                )
                for rows, results in batches:
                    writer.write(rows.start + first - start, results)
            seconds = time.monotonic() - began
            stage = {**dataclasses.asdict(job), "model": loaded.digest, "sequences": store.source_digest}
            del stage["chunk"]
            handle.attrs.update(
                provenance.to_attributes(
                    {
                        "format_version": FORMAT_VERSION,
                        "start": start,
                        "stop": stop,
                        "n_regions": store.n,
                        **{key: value for key, value in dataclasses.asdict(job).items() if key != "seed"},
                        "seed": job.seed,
                        "model_digest": loaded.digest,
                        "stage_digest": provenance.digest_json({**stage, "fold": None, "model": None}),
                        "content_digest": writer.digest(),
                        "notes": sorted(writer.notes),
                        "versions": provenance.versions(),
                        "device": device,
                        "regions_per_second": (stop - start) / max(seconds, 1e-9),
                    }
                )
            )
    logger.info("%d regions in %.1f s (%.1f/s)", stop - start, seconds, (stop - start) / max(seconds, 1e-9))


def region_seeds(store: SequenceStore, job: ChunkJob, start: int, stop: int) -> NDArray[np.int64]:
    """Seeds of rows ``start:stop``, from the locus (the name, for sequences without coordinates)."""
    regions = store.regions(start, stop)
    named = regions["chrom"].where(regions["chrom"] != "", regions["name"])
    source = store.source_digest if job.same_references else f"{store.source_digest}/{job.fold}"
    return provenance.locus_seeds(
        source, named, regions["start"], regions["end"], regions["strand"], job.seed
    )


def rows_per_hdf5_chunk(length: int) -> int:
    """Rows of one compressed HDF5 chunk: one for long windows, so that chunks can be copied directly."""
    return max(1, HDF5_CHUNK_BYTES // (16 * length))


def create_array(
    group: h5py.Group, name: str, shape: tuple[int, ...], dtype: str, *, rows: int | None = None
) -> h5py.Dataset:
    """Create a compressed dataset chunked by rows, with filters that every HDF5 reader has."""
    if shape[0] == 0:
        return group.create_dataset(name, shape, dtype)
    rows = min(shape[0], rows or max(1, 65536 // max(1, 4 * int(np.prod(shape[1:])))))
    return group.create_dataset(
        name, shape, dtype, chunks=(rows, *shape[1:]), compression="gzip", compression_opts=1, shuffle=True
    )


class _ChunkWriter:
    """Writes batches of attributions of each target and keeps a digest of what it wrote."""

    def __init__(self, handle: h5py.File, names: Sequence[str], *, n: int, length: int) -> None:
        self.groups = [handle.create_group(f"targets/{name}") for name in names]
        self.n = n
        self.hasher = hashlib.blake2b(digest_size=16)
        self.notes: set[str] = set()
        rows = rows_per_hdf5_chunk(length)
        for group in self.groups:
            create_array(group, "hypothetical", (n, 4, length), "f4", rows=rows)
            create_array(group, "baseline", (n, length), "f4", rows=rows)
            create_array(group, "prediction", (n,), "f4")

    def write(self, first: int, results: Sequence[Attribution]) -> None:
        """Write one batch of every target at row ``first`` of the chunk."""
        for group, result in zip(self.groups, results, strict=True):
            self.notes.update(f"{key}: {value}" for key, value in result.notes.items() if key != "precision")
            arrays = {
                "hypothetical": result.hypothetical,
                "baseline": result.baseline,
                "prediction": result.prediction,
                "reference_prediction": result.reference_prediction,
                "delta": result.delta,
                "max_relative_delta": None if result.delta is None else result.max_relative_delta,
            }
            for name, tensor in arrays.items():
                if tensor is None:
                    continue
                values = tensor.to(torch.float32).numpy()
                if not np.isfinite(values).all():
                    raise InputError(f"{name} of {group.name} has a value that is not finite in row {first}")
                if name not in group:
                    create_array(group, name, (self.n, *values.shape[1:]), "f4")
                group[name][first : first + len(values)] = values
                self.hasher.update(np.ascontiguousarray(values).tobytes())

    def digest(self) -> str:
        """Hex digest of every value written, in order."""
        return self.hasher.hexdigest()
