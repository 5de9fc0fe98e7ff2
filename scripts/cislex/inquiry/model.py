"""What a model's weights tell: loader, length, outputs, one target per output, time for a region."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cislex.attribution import TISM, DeepLiftShap, DinucleotideShuffle, attribute_targets
from cislex.errors import CislexError, InputError, ModelError, offenders
from cislex.files.tables import require_file
from cislex.inquiry.lengths import Lengths, accepted_lengths
from cislex.inquiry.weights_kind import WeightsKind, recognise_weights
from cislex.models.full_precision import own_dtype
from cislex.models.loading import LoadedModel, check_model, load_model, name_outputs
from cislex.prediction.inspect import random_sequences
from cislex.targets import from_config

#: Most outputs of one tensor that each become a target.
MOST_TARGETS = 8
#: Networks that are not loaded here: they take minutes, and their packages are optional.
LARGE = ("enformer", "borzoi", "alphagenome")
#: Longest input in bp on which attribution is timed.
LONGEST_TIMED = 20_000
#: References of a region in a run, and the two numbers with which a region of a slow model is timed.
REFERENCES, FEW, MORE = 20, 2, 6
#: Seconds of one region with few references below which a model is quick: then whole regions are timed.
QUICK = 0.1
#: Outputs that loaders of profile models name.
PROFILE_OUTPUTS = ("profile", "counts")


@dataclass(frozen=True)
class ModelFacts:
    """What was found out about a model.

    Attributes
    ----------
    kind
        Its loader, see :class:`cislex.inquiry.weights_kind.WeightsKind`.
    folds
        Weights file of each fold by name.
    lengths
        The lengths that it takes; None where it was not loaded, or none was found.
    length
        Length in bp, if it is known.
    outputs
        Shape of each output without the batch axis, by name; empty where it was not loaded.
    targets
        Settings of a target for each output, by name; empty where only the user knows which.
    choices
        Further targets that the outputs allow, by name, for the user to choose.
    method
        Name of the method where the default cannot be used, else None.
    seconds_per_region
        Time to attribute one region with 20 references on this machine, if it was measured.
    """

    kind: WeightsKind
    folds: Mapping[str, Path]
    lengths: Lengths | None = None
    length: int | None = None
    outputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    targets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    choices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    method: str | None = None
    seconds_per_region: float | None = None


def ask_model(
    weights: Sequence[str | Path], *, module: str | None = None, length: int | None = None
) -> ModelFacts:
    """Find out what the weights of a model tell.

    Parameters
    ----------
    weights
        One file for each fold.
    module
        ``path/to/model.py:function``, for a state dict.
    length
        Input length in bp, where the user gives it; by default the model is tried.

    Returns
    -------
    ModelFacts
        What was found.

    Raises
    ------
    InputError, ModelError, ConfigError
        When a file is missing or damaged, the folds are of different kinds, the code does not fit the
        weights, or the model does not take the length.

    Examples
    --------
    >>> ask_model(["fold_0.pt"], module="my_model.py:build").targets  # doctest: +SKIP
    {'output': {'kind': 'output', 'index': 0}}
    """
    for path in weights:
        require_file(path, what="model")
    folds = name_folds([Path(path) for path in weights])
    kinds = [recognise_weights(path, module=module) for path in folds.values()]
    if odd := [
        f"{path} ({k.loader})" for path, k in zip(folds.values(), kinds, strict=True) if k != kinds[0]
    ]:
        raise InputError(
            f"model: expected folds of one model, all read as {next(iter(folds.values()))} "
            f"({kinds[0].loader}); found {offenders(odd)}"
        )
    kind, first = kinds[0], next(iter(folds.values()))
    method = "tism" if kind.loader == "torchscript" else None
    if kind.missing or kind.loader in LARGE:
        known = kind.loader == "bpnet-lite"
        targets = {"counts": {"kind": "log_counts"}} if known else {}
        return ModelFacts(kind, folds, length=length, targets=targets, method=method)
    loaded = load_model(kind.loader, weights=first, **kind.options)
    lengths = accepted_lengths(loaded) if length is None else None
    tried = length if length is not None else lengths.tried if lengths else None
    if tried is None:
        raise ModelError(
            f"{first}: the model failed on random sequences of all lengths that were tried; give its input "
            "length (LENGTH=<bp>), and see docs/models.md for other input layouts"
        )
    shapes = check_model(loaded, tried)
    with torch.inference_mode():
        x = random_sequences(tried, 2).to(loaded.device, own_dtype(loaded.model))
        raw = loaded.model(x)
    targets, choices = propose_targets(raw, loaded.output_names)
    found = length if length is not None else lengths.only if lengths else None
    targets, seconds = _timed(loaded, tried, targets, method)
    return ModelFacts(
        kind, folds, lengths, found, shapes, targets, choices, method, seconds if found else None
    )


def name_folds(paths: Sequence[Path]) -> dict[str, Path]:
    """Name folds after their files, or folders, where that tells them apart; else ``fold_0``, ``fold_1``, …

    Raises
    ------
    InputError
        When a file is given twice, or there is none.
    """
    if not paths:
        raise InputError("model: found no weights file; expected one for each fold")
    twice = [str(path) for number, path in enumerate(paths) if path in paths[:number]]
    if twice:
        raise InputError(f"model: {offenders(twice)} is given twice; name each fold's file once")
    for names in ([path.stem for path in paths], [path.absolute().parent.name for path in paths]):
        plain = all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}", name) for name in names)
        if plain and len(set(names)) == len(names) and all(re.search("fold|rep", name) for name in names):
            return dict(zip(names, paths, strict=True))
    return {f"fold_{number}": path for number, path in enumerate(paths)}


def propose_targets(
    output: Any, names: Sequence[str] = ()
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Settings of a target for each output, and of further ones that are the user's choice.

    Parameters
    ----------
    output
        What the model returned for a few sequences: tensors (N, …).
    names
        Names of its tensors, where the loader knows them.

    Returns
    -------
    tuple
        Targets by name, and choices by name; both in the form of the config.
    """
    named = name_outputs(output, names)
    if tuple(named) == PROFILE_OUTPUTS:
        columns = named["counts"][0].numel()
        counts = _one_each("counts", columns, {"kind": "log_counts"})
        return counts, {"profile": {"kind": "profile"}}
    plain = isinstance(output, tuple | list) and not hasattr(output, "_fields")
    targets: dict[str, dict[str, Any]] = {}
    choices: dict[str, dict[str, Any]] = {}
    for number, (name, values) in enumerate(named.items()):
        head: dict[str, Any] = {} if len(named) == 1 else {"head": number if plain else name}
        own = re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip("_.-") or f"output_{number}"
        if values.ndim > 2:
            shape = values.shape[1:]
            choices[f"{own}_profile"] = {"kind": "profile", **head, "axis": _positions(shape)}
            choices[f"{own}_sum"] = {"kind": "slice", **head, "axis": _positions(shape), "start": 0}
            continue
        before = {"pre_activation": True} if _is_probability(values) else {}
        targets |= _one_each(own, values[0].numel(), {"kind": "output", **head, **before})
    return targets, choices


def _one_each(name: str, columns: int, settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A target for each column; of more than a few the first alone."""
    if columns == 1:
        return {name: settings if settings["kind"] == "log_counts" else {**settings, "index": 0}}
    shown = columns if columns <= MOST_TARGETS else 1
    return {f"{name}_{i}": {**settings, "index": i} for i in range(shown)}


def _positions(shape: Sequence[int]) -> int:
    """The axis of positions, counted with that of the examples: the longer one."""
    return 1 + max(range(len(shape)), key=lambda axis: shape[axis])


def _is_probability(values: Tensor) -> bool:
    return bool(((values >= 0) & (values <= 1)).all()) and bool((values > 0).any())


def _timed(
    loaded: LoadedModel, length: int, targets: Mapping[str, Mapping[str, Any]], method: str | None
) -> tuple[dict[str, dict[str, Any]], float | None]:
    """Targets, without ``pre_activation`` where the model has no final activation, and seconds for a region.

    What cannot be attributed is for the inspection to say, with the operation and the remedies.
    """
    plain = {name: {k: v for k, v in t.items() if k != "pre_activation"} for name, t in targets.items()}
    given = {name: dict(settings) for name, settings in targets.items()}
    if not targets or length > LONGEST_TIMED:
        return given, None
    for wanted in (given, plain) if given != plain else (given,):

        def timed(rows: int, references: int, wanted: Mapping[str, Any] = wanted) -> float:
            return _attribute(loaded.model, length, wanted, method, rows=rows, references=references)

        try:
            timed(1, FEW)  # warms up
            return wanted, _seconds_per_region(timed, gradient=method is not None)
        except CislexError:
            continue
    return given, None


def _seconds_per_region(timed: Callable[[int, int], float], *, gradient: bool) -> float:
    """Seconds of a region with 20 references, without what each call checks once.

    A quick model attributes ten whole regions. Of a slow one, the references that a second call has more tell
    what a reference takes, or, of a gradient, the regions that it has more what a region takes.
    """
    once = timed(1, FEW)
    if once < QUICK:
        return timed(10, REFERENCES) / 10
    if gradient:
        return max(0.0, timed(3, FEW) - once) / 2
    return max(0.0, timed(1, MORE) - once) * REFERENCES / (MORE - FEW)


def _attribute(
    model: nn.Module,
    length: int,
    targets: Mapping[str, Mapping[str, Any]],
    method: str | None,
    *,
    rows: int,
    references: int,
) -> float:
    """Seconds to attribute a few sequences; on a CPU no more than the processor's own."""
    how = TISM() if method else DeepLiftShap(DinucleotideShuffle(n=references))
    wanted = [from_config(settings, name=name) for name, settings in targets.items()]
    x = random_sequences(length, rows)
    began, worked = time.perf_counter(), time.process_time()
    attribute_targets(model, x, how, wanted)
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    on_cpu = all(tensor.device.type == "cpu" for tensor in model.parameters())
    return min(seconds, worked) if on_cpu else seconds
