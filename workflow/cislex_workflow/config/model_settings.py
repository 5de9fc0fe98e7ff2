"""Models of a config: what loads them, what trains them, and settings that do not go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cislex_workflow.config.loader_files import files_beside, loaders_with

#: Keys of a model that say how it is loaded, and those of its input layout.
_LOADING = ("module", "architecture", "hyperparameters", "part", "bias", "organism", "heads")
_LAYOUT = ("channel_order", "axes", "dummy_axis", "pad_to", "controls")


def model_options(model: dict[str, Any]) -> dict[str, Any]:
    """Settings of a model for ``load_model``: those that are given, so that the others rerun nothing."""
    options: dict[str, Any] = {"loader": model["loader"], "trust_pickle": model["trust_pickle"]}
    options |= {key: model[key] for key in _LOADING if model[key]}
    axes = "NLC" if model["loader"] == "keras" else "NCL"
    layout = {key: model[key] for key in _LAYOUT if model[key]}
    layout = {"channel_order": layout["channel_order"], "axes": axes, **layout}
    if layout != {"channel_order": "ACGT", "axes": axes}:
        options["layout"] = layout
    return options


def folds_used(analysis: Mapping[str, Any], model: Mapping[str, Any]) -> list[str]:
    """Names of the folds that an analysis uses, in the order of the model."""
    chosen = analysis.get("folds")
    return [fold for fold in model["folds"] if chosen is None or fold in chosen]


def model_files(model: dict[str, Any]) -> list[str]:
    """Files of a model besides its weights: its source, bias models, settings beside the weights."""
    source = [model["module"].rsplit(":", 1)[0]] if model["module"] else []
    bias = model["bias"] or []
    beside = {
        str(path): None
        for weights in model["folds"].values()
        for name in files_beside(model["loader"])
        if weights and (path := Path(weights).with_name(name)).is_file()
    }
    return source + (list(bias.values()) if isinstance(bias, dict) else [bias] if bias else []) + [*beside]


def held_out_chromosomes(analysis: dict[str, Any], model: dict[str, Any]) -> list[str] | None:
    """Chromosomes whose predictions come from folds that were not trained on them; None: not known.

    With ``fold_use: held_out`` each region has its own fold's prediction. A mean over folds has seen what
    any of them has seen. A fold trained here has seen neither its test chromosomes nor excluded ones.
    """
    held_out = model["held_out"] or {}
    if analysis["fold_use"] == "held_out":
        return sorted({chromosome for names in held_out.values() for chromosome in names})
    training = model["training"] if model["loader"] == "trained" else None
    unseen = []
    for fold in folds_used(analysis, model):
        names = set(held_out.get(fold) or ())
        if training and model["folds"][fold] is None:
            names = names or set(training["test_chromosomes"])
            names |= set(training["exclude_chromosomes"])
        unseen.append(names)
    return sorted(set.intersection(*unseen)) if all(unseen) else None


def held_out_array(analysis: dict[str, Any], config: dict[str, Any]) -> list[str] | None:
    """``[""]``, the chromosome of direct sequences, where these are the test set of a model trained here."""
    regions, model = config["regions"][analysis["regions"]], config["models"][analysis["model"]]
    arrays = (model["training"] or {}).get("hdf5") if model["loader"] == "trained" else None
    trained = all(weights is None for weights in model["folds"].values())
    if not arrays or not trained or not arrays["x_test"] or arrays["path"] != regions["hdf5"]:
        return None
    return [""] if regions["dataset"] == arrays["x_test"] else None


def model_checks(name: str, model: dict[str, Any]) -> Iterator[str]:
    """Settings of one model that do not go together, a line each."""
    yield from _loader_checks(name, model)
    yield from _layout_checks(name, model)
    trained = model["loader"] == "trained"
    if trained and model["training"] is None and None in model["folds"].values():
        yield f"models.{name}: loader: trained needs 'training' or a weights file for every fold"
    if not trained and model["training"] is not None:
        yield f"models.{name}: 'training' is only valid with loader: trained, not {model['loader']}"
    if trained and model["training"] is not None:
        for problem in _training_checks(model["training"]):
            yield f"models.{name}.training: {problem}"
    if not trained and None in model["folds"].values():
        yield f"models.{name}.folds: loader {model['loader']} needs a weights file for every fold"
    if model["loader"] == "factory" and model["module"] is None:
        yield f"models.{name}: loader factory needs module: path/to/model.py:function"


def _loader_checks(name: str, model: dict[str, Any]) -> Iterator[str]:
    loader = model["loader"]
    for key in _LOADING:
        if model[key] and loader not in (loaders := loaders_with(key)):
            yield f"models.{name}: '{key}' is only valid with loader: {' or '.join(loaders)}, not {loader}"
    if loader == "architecture" and model["architecture"] is None:
        yield f"models.{name}: loader architecture needs architecture: the name of a network"
    if loader == "architecture":
        for key, value in model["hyperparameters"].items():
            if isinstance(value, list | dict):
                yield f"models.{name}.hyperparameters.{key}: found {value}, expected a number, true or false"
    if loader == "pickled" and not model["trust_pickle"]:
        yield (
            f"models.{name}: loader pickled runs any code in the file; set trust_pickle: true if you "
            "trust its origin, or save its state dict and use loader: factory"
        )
    if isinstance(model["bias"], dict) and set(model["bias"]) != set(model["folds"]):
        yield (
            f"models.{name}.bias: folds {', '.join(model['bias'])}; expected a file for each of "
            f"{', '.join(model['folds'])}"
        )


def _layout_checks(name: str, model: dict[str, Any]) -> Iterator[str]:
    if sorted(model["channel_order"]) != sorted("ACGT"):
        yield f"models.{name}.channel_order: {model['channel_order']} is not an order of A, C, G and T"
    if model["pad_to"] is not None and model["pad_to"] < model["input_length"]:
        yield (
            f"models.{name}.pad_to: {model['pad_to']} bp is less than input_length, the regions' length of "
            f"{model['input_length']} bp"
        )


#: Sources of training examples, and the heads that fit each; the first is what ``auto`` means.
HEADS = {
    "tasks": ("sigmoid", "softmax"),
    "signal": ("counts", "profile"),
    "labels": ("softmax",),
    "hdf5": ("sigmoid", "softmax", "regression"),
}


def training_source(training: dict[str, Any]) -> str:
    """Which of ``tasks``, ``signal``, ``labels``, ``hdf5`` the examples come from."""
    return next(source for source in HEADS if training[source] is not None)


def training_head(training: dict[str, Any]) -> str:
    """The head, where the config leaves it to the source."""
    head: str = training["head"]
    if head != "auto":
        return head
    profile = training["signal"] is not None and training["hyperparameters"].get("profile", False)
    return "profile" if profile else HEADS[training_source(training)][0]


def _training_checks(training: dict[str, Any]) -> Iterator[str]:
    given = [source for source in HEADS if training[source] is not None]
    if len(given) != 1:
        yield f"give exactly one of {', '.join(HEADS)}; found {', '.join(given) or 'none'}"
        return
    source, head = given[0], training_head(training)
    if head not in HEADS[source]:
        yield f"head {head} is not valid with {source}: expected one of {', '.join(HEADS[source])}"
    if training["keep_epoch"] == "auprc" and head not in ("sigmoid", "softmax"):
        yield f"keep_epoch: auprc is only valid with head sigmoid or softmax, not {head}"
    genomic = source in ("tasks", "signal")
    for key in ("validation_chromosomes", "test_chromosomes"):
        if genomic and not training[key]:
            yield f"{key} is empty; name at least one chromosome"
        if not genomic and training[key]:
            yield (
                f"{key} is only valid with tasks and signal; for {source} use validation_fraction and "
                "test_fraction"
            )
    if not genomic and training["validation_fraction"] + training["test_fraction"] >= 1:
        yield "validation_fraction and test_fraction leave nothing to train on: they must sum to less than 1"
    least = training["positive_distance"] + training["jitter"]
    if genomic and training["min_negative_distance"] <= least:
        yield (
            f"min_negative_distance: {training['min_negative_distance']} bp; expected more than "
            f"positive_distance + jitter ({least} bp), or a shifted negative becomes positive"
        )
    negatives = training["negatives"]
    if (negatives["kind"] == "bed") != (negatives["path"] is not None):
        yield (
            f"negatives.path is required with kind: bed and only valid there; found kind {negatives['kind']}"
        )
    if negatives["kind"] == {"tasks": "none", "signal": "shuffle"}.get(source):
        yield f"negatives.kind: {negatives['kind']} is not valid with {source}"
    for name, track in (training["signal"] or {"tracks": {}})["tracks"].items():
        files = {key for key, path in track.items() if path is not None}
        if files not in ({"bigwig"}, {"plus", "minus"}):
            yield f"signal.tracks.{name}: give bigwig, or both plus and minus"
