"""Predictions of every fold of a model for every region, streamed to one HDF5 file and one table."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cislex import provenance
from cislex.attribution.execution.opened import open_for
from cislex.chunks.region_weights import RegionWeights
from cislex.errors import ConfigError, ModelError, offenders
from cislex.files.hdf5 import new_hdf5
from cislex.files.hdf5_blocks import RowWriter
from cislex.files.tables import FORMAT_VERSION, atomic_path, create_array, write_regions, write_table
from cislex.logs import get_logger, progress
from cislex.models.full_precision import own_dtype
from cislex.models.loading import LoadedModel, check_model, load_model, name_outputs
from cislex.prediction.batches import batch_rows
from cislex.prediction.kept_outputs import choose_outputs, heads_read
from cislex.sequences.region_errors import locus_of_row, naming_regions
from cislex.sequences.store import SequenceStore, held_out_rows
from cislex.targets import Target, targets
from cislex.targets.outputs import plain_output

logger = get_logger(__name__)

#: Seconds between two looks whether the disk took what was predicted.
LOOK_SECONDS = 10.0


def predict_regions(
    sequences: str | Path,
    weights: Mapping[str, str | Path],
    predictions: str | Path,
    table: str | Path,
    *,
    wanted: Mapping[str, Mapping[str, Any]],
    loader: str,
    outputs: Sequence[str] = (),
    batch_size: int | None = None,
    device: str = "auto",
    threads: int = 1,
    held_out: Mapping[str, Sequence[str]] | None = None,
    reverse_complement: bool = False,
    keep: str = "auto",
    **model: Any,
) -> None:
    """Predict every region with every fold; keep outputs and targets, and each target's mean over the folds.

    Parameters
    ----------
    sequences
        ``sequences.h5``.
    weights
        Weights file of each fold.
    predictions
        Written: ``predictions/{fold}/{output}`` float32 (N, …), ``targets/{fold}/{target}`` float32 (N,) and
        ``regions/``.
    table
        Written: ``chrom, start, end, name, strand`` and a column per target.
    wanted
        Settings of each target, for example ``{"counts": {"kind": "output", "index": 0}}``.
    loader, **model
        The model: settings of :func:`cislex.models.loading.load_model`.
    outputs
        Names for the tensors that the model returns, where neither it nor the loader names them.
    batch_size
        Regions at once; results do not depend on it beyond float32 rounding. Halved where memory is short.
    device
        ``auto``, ``cpu`` or ``cuda``. TensorFloat-32 is off.
    threads
        Threads of torch on the CPU.
    held_out
        Chromosomes that each fold held out: a target is then that of the region's own fold, not the mean.
    reverse_complement
        Targets are the mean of both strands, as attributions are; ``predictions`` keeps the given strand.
    keep
        Outputs that are kept: ``all``, ``heads`` (those that targets read), ``targets`` (none besides the
        targets) or ``auto`` (all up to 1 GiB before compression, else none).

    Raises
    ------
    ConfigError, ModelError, InputError, StorageError
        Nothing is left under the final names.
    """
    if not weights:
        raise ConfigError("no fold: name at least one weights file in the model's folds")
    torch.set_num_threads(threads)
    scalars = targets.all_from_config(wanted)
    with SequenceStore(sequences) as store, atomic_path(predictions) as temporary, _exact_float32():
        size = batch_size or batch_rows(store.length)
        regions = store.regions(0, store.n)
        sums = np.zeros((len(scalars), store.n))
        digests = {}
        with new_hdf5(temporary) as handle:
            for fold, path in weights.items():
                loaded = load_model(loader, weights=path, device=device, **model)
                digests[fold] = loaded.digest
                group = handle.create_group(f"predictions/{fold}")
                found = _predict_fold(
                    loaded,
                    store,
                    group,
                    scalars,
                    fold=fold,
                    folds=len(weights),
                    names=outputs,
                    batch_size=size,
                    both_strands=reverse_complement,
                    keep=keep,
                )
                for name, values in zip(scalars, found, strict=True):
                    create_array(handle, f"targets/{fold}/{name}", (store.n,), "f4")[...] = values
                sums += found * _weight(regions["chrom"], fold, len(weights), held_out)
            write_regions(handle, regions)
            handle.attrs.update(
                provenance.to_attributes(
                    {
                        "format_version": FORMAT_VERSION,
                        "source_digest": store.source_digest,
                        "model_digests": digests,
                        "folds": list(weights),
                        "outputs": keep,
                        "targets": {name: dict(entry) for name, entry in wanted.items()},
                        "trust_pickle": bool(model.get("trust_pickle")),
                        "versions": provenance.versions(),
                    }
                )
            )
        means = pd.DataFrame(dict(zip(scalars, sums, strict=True)), index=regions.index)
        write_table(pd.concat([regions, means], axis=1), table)


def _weight(
    chroms: pd.Series, fold: str, folds: int, held_out: Mapping[str, Sequence[str]] | None
) -> NDArray[np.float64]:
    """Weight of a fold in each region's targets."""
    if held_out is None:
        return np.full(len(chroms), 1 / folds)
    return held_out_rows(chroms, held_out, fold).astype(np.float64)


def _predict_fold(
    loaded: LoadedModel,
    store: SequenceStore,
    group: h5py.Group,
    scalars: Mapping[str, Target],
    *,
    fold: str,
    folds: int,
    names: Sequence[str],
    batch_size: int,
    both_strands: bool,
    keep: str,
) -> NDArray[np.float64]:
    """Predict all regions by one fold into ``group``; return the targets, float64 (targets, N)."""
    names = names or loaded.output_names
    shapes = check_model(loaded, store.length, names=names)
    model = open_for(loaded.model, scalars.values())
    weights = RegionWeights(store, list(scalars.values()), loaded)
    heads: list[str] = []
    if keep == "heads" and store.n:
        first = torch.from_numpy(store.read(0, 1)).to(loaded.device, own_dtype(model))
        with torch.no_grad():
            raw = model(first, *(item.to(first) for item in weights.of(np.array([0]))))
        heads = heads_read(raw, list(scalars.values()), names)
    kept = choose_outputs(keep, shapes, regions=store.n, folds=folds, heads=heads)
    writers = {name: RowWriter(create_array(group, name, (store.n, *shapes[name]), "f4")) for name in kept}
    values = np.zeros((len(scalars), store.n))
    began = looked = time.monotonic()
    starts = range(0, store.n, batch_size)
    turned = {name: target.turned() for name, target in scalars.items()}
    for start in progress(starts, total=store.n, label=f"predict {fold}", weight=batch_size):
        stop = min(start + batch_size, store.n)
        batch, extra = store.read(start, stop), weights.of(np.arange(start, stop))
        with naming_regions(store, np.arange(start, stop), lambda: 0):
            found, scalar = _forward(model, batch, extra, scalars, names)
            if both_strands:
                other = np.ascontiguousarray(batch[:, ::-1, ::-1])
                scalar = (scalar + _forward(model, other, extra, turned, names)[1]) / 2
        for name, array in found.items():
            bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
            if bad.any():
                rows = [locus_of_row(store, start + int(i)) for i in np.flatnonzero(bad)]
                raise ModelError(
                    f"{fold}: output {name} is NaN or infinite for {offenders(rows)} in rows {start}-{stop}"
                )
            if name in writers:
                writers[name].append(array)
        values[:, start:stop] = scalar
        if time.monotonic() - looked > LOOK_SECONDS:
            group.file.flush()  # a full disk ends the job here, and not after the last region
            looked = time.monotonic()
    for writer in writers.values():
        writer.finish()
    logger.info("%s: %d regions in %.1f s", fold, store.n, time.monotonic() - began)
    return values


def _forward(
    model: nn.Module,
    sequences: NDArray[np.uint8],
    extra: Sequence[Tensor],
    scalars: Mapping[str, Target],
    names: Sequence[str],
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float64]]:
    """Outputs by name, (n, …), and targets, (targets, n), of one batch; halved where memory is short."""
    device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    try:
        with torch.inference_mode():
            x = torch.from_numpy(sequences).to(device).to(own_dtype(model))
            raw = model(x, *(item.to(x) for item in extra))
            outputs = name_outputs(plain_output(raw), names)
            found = {name: tensor.float().cpu().numpy() for name, tensor in outputs.items()}
            scalar = [targets.read_target(target, raw).double().cpu().numpy() for target in scalars.values()]
    except torch.OutOfMemoryError:
        if len(sequences) == 1:
            raise ModelError(
                f"one sequence of {sequences.shape[-1]} bp does not fit into memory of {device}"
            ) from None
    else:
        return found, np.array(scalar).reshape(len(scalar), len(sequences))
    half = len(sequences) // 2
    logger.warning("out of memory with %d regions at once: trying %d", len(sequences), half)
    (first, a), (second, b) = (
        _forward(model, sequences[part], [item[part] for item in extra], scalars, names)
        for part in (slice(half), slice(half, None))
    )
    return {name: np.concatenate([first[name], second[name]]) for name in first}, np.concatenate(
        [a, b], axis=1
    )


@contextmanager
def _exact_float32() -> Iterator[None]:
    """Multiply in float32 proper on GPUs (TensorFloat-32 keeps 10 bits); afterwards as before."""
    cudnn: Any = torch.backends.cudnn
    backends: list[Any] = [torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn]
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.fp32_precision = value
