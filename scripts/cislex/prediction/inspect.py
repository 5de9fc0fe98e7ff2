"""Inspect a model before any expensive work: its structure, its output, and whether it can be attributed.

Writes one table of facts (section, name, value, detail) and the same as text for the eye.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cislex.attribution import Attribution, DeepLiftShap, DinucleotideShuffle, attribute_batches
from cislex.attribution.execution.batching import BatchSize
from cislex.attribution.execution.model_context import choose_device, has_script
from cislex.attribution.methods import Method
from cislex.attribution.result import collect
from cislex.attribution.saved_references import SavedReferences
from cislex.chunks import methods_from_config
from cislex.chunks.region_weights import TrialWeights, trial_weights
from cislex.errors import ModelError, UnsupportedOperationError, offenders
from cislex.files.tables import write_table, write_text
from cislex.logs import get_logger
from cislex.models.full_precision import own_dtype
from cislex.models.loading import check_model, load_model, name_outputs
from cislex.prediction.inspection_rows import Row, as_text
from cislex.runtime.devices import claim
from cislex.runtime.measurement import count_flops, peak_memory_mb
from cislex.targets import Target, targets

if TYPE_CHECKING:
    from cislex.attribution.deeplift.survey import OperationUse

#: Random sequences that are tried, the same for every model of a length.
SEQUENCES = 10
#: A delta above the limit divided by this is near it.
NEAR = 10.0
#: Least standard deviation of the logarithm (base 10) of deltas: ten sequences may happen to be alike.
LEAST_SPREAD = 0.1
#: What is said of a target without any attribution.
SILENT = "no attribution: every contribution is zero, so the output does not depend on the sequence"


def random_sequences(length: int, n: int = SEQUENCES) -> Tensor:
    """Return (n, 4, length) uint8: every base with probability 1/4, seed 0."""
    codes = np.random.default_rng(0).integers(0, 4, (n, length))
    return torch.from_numpy(np.eye(4, dtype=np.uint8)[codes].transpose(0, 2, 1).copy())


def inspect_model(
    weights: Mapping[str, str | Path],
    table: str | Path,
    text: str | Path,
    passed: str | Path,
    *,
    length: int,
    wanted: Mapping[str, Mapping[str, Any]],
    method: Mapping[str, Any],
    model: Mapping[str, Any],
    precision: str = "float32",
    reverse_complement: bool = False,
    batch_size: int | None = None,
    device: str = "auto",
    gate: Mapping[str, Any] | None = None,
    threads: int = 1,
    started: float | None = None,
    analysis: str | None = None,
    automatic: Mapping[str, Any] | None = None,
    references: str | Path | None = None,
    sequences: str | Path | None = None,
) -> None:
    """Inspect every fold of a model and write what was found.

    Parameters
    ----------
    weights
        Weights file of each fold by name.
    table, text
        Outputs: TSV of ``fold, section, name, value, detail``, and the same aligned for reading.
    passed
        Output: digests of the models that passed. It holds no measurement, so a new inspection of the same
        models makes the same file and nothing that depends on it runs again.
    length
        Length of the regions in bp.
    wanted, method, precision, reverse_complement, batch_size, device
        Settings of the analysis: its targets by name, its method, how it computes.
    model
        Options of :func:`cislex.models.loading.load_model`.
    gate
        ``max_relative_delta`` and ``on_fail`` of the analysis's quality gate.
    threads
        Threads of torch on the CPU.
    started
        When this job began, in seconds since 1970; by default now. What a job takes before its first region
        is counted from it.
    analysis
        Name of the analysis, by which messages call its targets as the config does.
    automatic
        Fields of :class:`cislex.prediction.reference_choice.ReferenceChoice` where the number of references
        is ``auto``.
    references
        Output: this number, which like ``passed`` is the same after the same inspection.
    sequences
        ``sequences.h5``, where targets have intervals: those of every region are checked.

    Raises
    ------
    ModelError, UnsupportedOperationError
        When a model cannot be loaded or attributed; everything found is printed first.
    """
    torch.set_num_threads(threads)
    imports = 0.0 if started is None else time.time() - started
    choice: Any = None
    if automatic is not None:  # by name: what is not asked for reruns nothing when it is edited
        choices = importlib.import_module("cislex.prediction.reference_choice")
        choice = choices.ReferenceChoice(**automatic)
        method = methods_from_config.with_references(method, choice.most)
    measured = []
    used = _of_any_sequence(methods_from_config.method_from_settings(method))
    keys = "" if analysis is None else f"analyses.{analysis}.targets."
    named = {name: targets.from_config(dict(entry), name=keys + name) for name, entry in wanted.items()}
    rows: list[tuple[str, Row]] = []
    digests = {}
    with claim(device) as where:
        way: dict[str, Any] = {
            "precision": precision,
            "reverse_complement": reverse_complement,
            "batch_size": batch_size,
            "device": where,
        }
        for fold, path in weights.items():
            began = time.perf_counter()
            loaded = load_model(weights=path, **model)
            startup = imports + time.perf_counter() - began
            digests[fold] = loaded.digest
            found = _describe(loaded.model, check_model(loaded, length), length)
            trial = trial_weights(sequences, list(named.values()), loaded, SEQUENCES)
            found += _examine(loaded.model, named, used, length, way, gate, startup, trial)
            rows += [(fold, row) for row in found]
            if choice is not None and not any(row.bad for row in found):
                measured.append(choice.measure(loaded, named, used, method, fold=fold, **way))
    page = as_text(rows)
    bad = dict.fromkeys(f"{row.name} ({row.value})" for _, row in rows if row.bad)
    if bad:
        print(as_text(rows, colour=True), flush=True)
        raise UnsupportedOperationError(
            f"the model cannot be attributed exactly: {offenders(bad)}; what to do: see the lines marked !! "
            "above; rewrite the operation, give a rule, or set method.unknown_ops: integrate"
        )
    number = None
    if choice is not None:
        best = choices.choose_references(pd.concat(measured), choice.sufficiency, choice.most)
        number, rows = best.n, choices.with_choice(rows, best)
        page = as_text(rows)
    get_logger(__name__).info("inspected\n%s", page)
    for fold, row in rows:
        if row.doubtful:
            get_logger(__name__).warning(
                "%s, %s %s: %s, %s", fold, row.section, row.name, row.value, row.detail
            )
    frame = pd.DataFrame(
        [(fold, row.section, row.name, row.value, row.detail) for fold, row in rows],
        columns=["fold", "section", "name", "value", "detail"],
    )
    write_table(frame, table)
    write_text(page, text)
    write_text(json.dumps(digests, indent=1) + "\n", passed)
    if references is not None:
        write_text(json.dumps({"n": number}) + "\n", references)


def _of_any_sequence(method: Method) -> Method:
    """The method with references that random sequences can have: saved ones belong to the regions."""
    references = method.references
    if isinstance(references, SavedReferences):
        return dataclasses.replace(method, references=DinucleotideShuffle(n=references.n))
    return method


def _describe(model: nn.Module, shapes: Mapping[str, tuple[int, ...]], length: int) -> list[Row]:
    """What the model consists of, and its outputs on random sequences."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    kinds: dict[str, int] = {}
    for module in model.modules():
        # Keras keeps the weights of each layer in a dict inside it.
        inside = [child for child in module.children() if not isinstance(child, nn.ParameterDict)]
        if not inside and not isinstance(module, nn.ParameterDict):
            kinds[type(module).__name__] = kinds.get(type(module).__name__, 0) + 1
    rows = [Row("model", "class", type(model).__name__, f"{parameters:,} parameters")]
    rows += [Row("layer", name, f"{count}×") for name, count in sorted(kinds.items())]
    device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    with torch.inference_mode():
        outputs = name_outputs(model(random_sequences(length).to(device, own_dtype(model))), tuple(shapes))
    for name, values in outputs.items():
        shape = " × ".join(map(str, ("N", *shapes[name])))
        detail = f"{values.min():.3g} to {values.max():.3g} on random sequences"
        rows.append(Row("output", name, shape, detail + _reading(values)))
    return rows


def _reading(values: Tensor) -> str:
    """A hint where an output looks like probabilities."""
    if bool(((values >= 0) & (values <= 1)).all()):
        total = values.flatten(1).sum(1) if values.ndim > 1 else values
        softmax = values.ndim > 1 and values.shape[1] > 1 and bool(((total - 1).abs() < 1e-4).all())
        what = "softmax probabilities" if softmax else "probabilities"
        return f"; looks like {what}: consider pre_activation: true, which does not saturate"
    return ""


def _examine(
    model: nn.Module,
    named: Mapping[str, Target],
    method: Method,
    length: int,
    way: Mapping[str, Any],
    gate: Mapping[str, Any] | None,
    startup: float,
    weights: TrialWeights,
) -> list[Row]:
    """Operations and their rules, the delta test, and the time it takes; ``way`` is how it is computed."""
    x = random_sequences(length)
    rows: list[Row] = []
    if isinstance(method, DeepLiftShap):
        if scripted := has_script(model):
            value = "TorchScript hides its operations"
            remedy = "load the eager model or a torch.export program, or use a gradient method or ISM"
            return [Row("operation", scripted, value, remedy, bad=True)]
        uses = _survey(model, x, method, named.values(), way["device"], weights)
        rows += [_operation(use) for use in uses]
        if any(row.bad for row in rows):
            return rows
    results, first, seconds = _timed(model, x, method, list(named.values()), way, weights)
    if "incomplete" in results[0].notes:
        refused = not (gate or {}).get("allow_incomplete", False)
        rows.append(
            Row("operation", "(out of sight)", "no rule", results[0].notes["incomplete"], bad=refused)
        )
    for (name, target), result in zip(named.items(), results, strict=True):
        values = result.prediction
        detail = f"{values.min():.4g} to {values.max():.4g} on random sequences"
        if not result.contributions.any():
            detail += "; " + SILENT
        rows.append(Row("target", name, repr(target), detail))
        if result.max_relative_delta is not None:
            extra = [item[:2] for item in weights([target])]
            rows.append(_delta(model, x, method, target, name, result.max_relative_delta, gate, extra))
    return rows + _cost(model, x, seconds, startup + first, way["batch_size"], way["device"])


def _survey(
    model: nn.Module, x: Tensor, method: DeepLiftShap, wanted: Any, device: str, weights: TrialWeights
) -> list[OperationUse]:
    """Operations of all targets, each once."""
    # By name: what serves DeepLIFT alone must not rerun other methods when it is edited.
    survey = importlib.import_module("cislex.attribution.deeplift.survey")
    found: dict[tuple[str, str], OperationUse] = {}
    for target in wanted:
        try:
            extra = weights([target])
            uses = survey.survey_operations(
                model, x, method, target=target, extra_inputs=extra, device=device
            )
        except ModelError as error:
            if not str(error).startswith("target: "):
                raise
            raise ModelError(f"target {target}: {str(error).removeprefix('target: ')}") from None
        for use in uses:
            found.setdefault((use.operation, use.rule), use)
    return sorted(found.values(), key=lambda use: use.known)


def _operation(use: OperationUse) -> Row:
    rule, _, reason = use.rule.partition(": ") if not use.known else (use.rule, "", "")
    detail = f"{use.calls}×, {_place(use)}" + (f": {reason}" if reason else "")
    return Row("operation", use.operation, rule, detail, bad=not use.known)


def _place(use: OperationUse) -> str:
    """Module and source line; the name of the file is enough to find it."""
    return re.sub(r"\S*/", "", use.where.removeprefix("in module "))


def _timed(
    model: nn.Module,
    x: Tensor,
    method: Method,
    wanted: Sequence[Target],
    way: Mapping[str, Any],
    weights: TrialWeights,
) -> tuple[list[Attribution], float, float]:
    """Attribute one sequence, which warms up, then all: results, seconds of the first, and per region.

    On a CPU no more than the processor's own time counts: waiting for other programs of a loaded machine is
    not what a job of this model takes.
    """
    took = []
    on_cpu = choose_device(model, way["device"]).type == "cpu"
    for part in (x[:1], x):
        began, worked = time.perf_counter(), time.process_time()
        extra = [item[: len(part)] for item in weights(wanted)]
        batches = attribute_batches(
            model, part, method, wanted, extra_inputs=extra, allow_incomplete=True, **way
        )
        results = collect(batches, len(part))
        seconds, worked = time.perf_counter() - began, time.process_time() - worked
        took.append((min(seconds, worked) if on_cpu else seconds) / len(part))
    return results, took[0], took[1]


def _delta(
    model: nn.Module,
    x: Tensor,
    method: Method,
    target: Target,
    name: str,
    deltas: Tensor,
    gate: Mapping[str, Any] | None,
    extra: Sequence[Tensor],
) -> Row:
    """The delta test of one target; over the gate's limit, where it comes from; near it, what to expect."""
    limit = None if gate is None else gate["max_relative_delta"]
    delta = float(deltas.max())
    if limit is not None and limit / NEAR < delta <= limit:
        share = share_over(deltas.numpy(), limit)
        detail = (
            f"within a factor of {NEAR:g} of the limit of {limit:g}: about {share:.2%} of the regions will "
            f"be over it (log-normal fitted to {len(deltas)} random sequences); use precision: float64, or "
            "on_fail: drop"
        )
        return Row("delta", name, f"{delta:.1e}", detail, doubtful=True)
    if limit is None or delta <= limit or not isinstance(method, DeepLiftShap):
        return Row("delta", name, f"{delta:.1e}", "largest relative delta of the random sequences")
    residuals = importlib.import_module("cislex.attribution.deeplift.residuals")
    worst = residuals.operation_residuals(model, x[:2], method, target=target, extra_inputs=extra)[0]
    detail = f"over the limit of {limit:g}; most of it from {worst.operation} {worst.where}"
    strict = gate is not None and gate["on_fail"] == "error"
    return Row("delta", name, f"{delta:.1e}", detail, bad=strict)


def share_over(deltas: NDArray[np.floating[Any]], limit: float) -> float:
    """Share of regions expected over a limit: the tail of a log-normal with the mean and spread of a sample.

    Parameters
    ----------
    deltas
        Largest relative delta of each region of the sample, (n,).
    limit
        The gate's limit.
    """
    logs = np.log10(np.maximum(np.asarray(deltas, np.float64), 1e-12))
    spread = max(float(logs.std(ddof=1)) if len(logs) > 1 else 0.0, LEAST_SPREAD)
    return 0.5 * math.erfc((math.log10(limit) - float(logs.mean())) / (spread * math.sqrt(2)))


def _cost(
    model: nn.Module, x: Tensor, seconds: float, startup: float, batch_size: int | None, device: str
) -> list[Row]:
    """Time and memory on this device."""
    on = choose_device(model, device)
    own = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    flops = count_flops(model, x.to(own, own_dtype(model)))
    host = peak_memory_mb()
    if on.type == "cuda":
        memory = torch.cuda.max_memory_allocated(on) / 2**20
        where = torch.cuda.get_device_name(on)
    else:
        memory = host
        where = f"CPU, {torch.get_num_threads()} threads"
    pairs = BatchSize(on, batch_size, x.shape[2]).pairs
    return [
        Row("cost", "seconds_per_region", f"{seconds:.4g}", where),
        Row("cost", "startup_seconds", f"{startup:.1f}", "imports, loading, the first region"),
        Row("cost", "peak_memory_mb", f"{memory:.0f}", where),
        Row("cost", "host_memory_mb", f"{host:.0f}", "of the process"),
        Row("cost", "flops_per_sequence", f"{flops:.4g}", "convolutions and matrix products of one forward"),
        Row("cost", "batch_size", str(pairs), "example-reference pairs at once, to start with"),
    ]
