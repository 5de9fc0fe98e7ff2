"""Reading the config: sheets, placeholders, defaults and validation, with messages that help.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import copy
import csv
import difflib
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml

#: Sections that may be the path of a TSV sheet instead of a mapping.
SHEETS = ("regions", "models", "analyses")
#: Known motifs that pyjaspar carries, as in cislex.databases; other names are paths.
JASPAR = tuple(
    f"jaspar-{group}" for group in ("vertebrates", "plants", "insects", "nematodes", "fungi", "urochordates")
)
#: A limit below this on the relative delta fails nearly every region in bfloat16.
LEAST_BFLOAT16_DELTA = 0.1


class Summarised(dict[str, Any]):
    """A mapping that is shown as its digest, so that a plan which names it stays short.

    Snakemake tells by what a parameter shows whether it changed. Jobs get a plain dict.
    """

    def __repr__(self) -> str:
        text = json.dumps(self, ensure_ascii=False)  # in the order of the keys, which the snapshot keeps
        return f"digest {hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"

    __str__ = __repr__

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)


class ConfigurationError(Exception):
    """The config cannot be used; the message names the key, what was found and what is valid."""


def resolve(config: dict[str, Any], schema_path: Path) -> dict[str, Any]:
    """Return the complete config: sheets read, defaults filled, placeholders replaced, validated.

    Parameters
    ----------
    config
        The config as read from YAML; not changed.
    schema_path
        The JSON schema (YAML).

    Returns
    -------
    dict
        A config that, written to a file, gives the same run.

    Raises
    ------
    ConfigurationError
        With every problem found, one a line.
    """
    schema = yaml.safe_load(schema_path.read_text(encoding="utf-8"))
    resolved = copy.deepcopy(dict(config))
    for section in SHEETS:
        if isinstance(resolved.get(section), str):
            resolved[section] = read_sheet(Path(resolved[section]), section)
    problems = list(_problems(resolved, schema))
    if problems:
        raise ConfigurationError("the config cannot be used:\n  " + "\n  ".join(problems))
    _fill_defaults(resolved, schema, schema)
    resolved = replace(resolved, "{results}", resolved["results"].rstrip("/"))
    problems = list(_cross_checks(resolved))
    if problems:
        raise ConfigurationError("the config cannot be used:\n  " + "\n  ".join(problems))
    return resolved


def read_sheet(path: Path, section: str) -> dict[str, Any]:
    """Read a TSV sheet: one row an entry, ``name`` first, ``a.b`` for nested keys, JSON or text cells.

    Empty cells are left out, so that the default applies.
    """
    if not path.is_file():
        raise ConfigurationError(f"{section}: no such sheet: {path}")
    with path.open(newline="", encoding="utf-8") as handle:
        rows = csv.DictReader(handle, delimiter="\t")
        if not rows.fieldnames or "name" not in rows.fieldnames:
            raise ConfigurationError(f"{section}: {path} needs a column 'name'; it has {rows.fieldnames}")
        entries: dict[str, Any] = {}
        for line, row in enumerate(rows, start=2):
            name = row.pop("name")
            if None in row or None in row.values():
                raise ConfigurationError(
                    f"{section}: {path}:{line} has another number of cells than the header"
                )
            if not name or name in entries:
                raise ConfigurationError(f"{section}: {path}:{line}: name {name!r} is empty or used twice")
            entries[name] = {}
            for key, text in row.items():
                if text != "":
                    _assign(entries[name], key.split("."), _cell(text))
    return entries


def _cell(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _assign(entry: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        entry = entry.setdefault(key, {})
    entry[keys[-1]] = value


def _problems(config: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    validator = jsonschema.Draft202012Validator(schema)
    for error in sorted(validator.iter_errors(config), key=lambda e: [str(p) for p in e.absolute_path]):
        yield from _describe(error)


def _describe(error: jsonschema.ValidationError) -> Iterator[str]:
    where = ".".join(str(part) for part in error.absolute_path) or "top level"
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        valid = sorted(error.schema.get("properties", {}))
        for key in sorted(set(map(str, error.instance)) - set(valid)):
            hint = suggestion(key, valid) or f"; valid keys: {', '.join(valid)}"
            yield f"{where}: unknown key '{key}'{hint}"
    elif error.validator == "enum":
        valid = [choice for choice in error.validator_value if isinstance(choice, str)]
        yield f"{where}: {error.message}{suggestion(error.instance, valid)}"
    elif error.validator == "oneOf" and error.context:
        if "required" in {e.validator for e in error.context} and where.startswith("regions."):
            yield f"{where}: give exactly one of peaks, fasta, hdf5"
            return
        inner = [e for e in error.context if e.validator != "type" or e.instance is not error.instance]
        for nested in inner or [error]:
            if nested is error:
                yield f"{where}: {error.message}"
            else:
                yield from _describe(nested)
    else:
        yield f"{where}: {error.message}"


def suggestion(wrong: Any, valid: Iterable[str]) -> str:
    """``; did you mean …?`` where a valid name is near, else nothing."""
    near = difflib.get_close_matches(wrong, list(valid), n=1) if isinstance(wrong, str) else []
    return f"; did you mean '{near[0]}'?" if near else ""


def _fill_defaults(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> None:
    schema = _dereference(schema, root)
    if not isinstance(value, dict):
        return
    for option in schema.get("oneOf", []):
        option = _dereference(option, root)
        if option.get("type") == "object":
            _fill_defaults(value, option, root)
    known = schema.get("properties", {})
    for key, raw in known.items():
        part = _dereference(raw, root)
        if key not in value and "default" in part:
            value[key] = copy.deepcopy(part["default"])
        if key in value:
            _fill_defaults(value[key], part, root)
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        for key, entry in value.items():
            if key not in known:
                _fill_defaults(entry, others, root)


def _dereference(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Any = root
    for part in schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return {**found, **{key: entry for key, entry in schema.items() if key != "$ref"}}


def replace(value: Any, old: str, new: str) -> Any:
    """Replace text in every string of nested lists and mappings."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, list):
        return [replace(item, old, new) for item in value]
    if isinstance(value, dict):
        return {key: replace(item, old, new) for key, item in value.items()}
    return value


def _cross_checks(config: dict[str, Any]) -> Iterator[str]:
    """What a JSON schema cannot say: names that refer to each other, lengths that must agree."""
    lengths: dict[str, dict[int, str]] = {}
    for name, analysis in config["analyses"].items():
        for key, section in (("regions", "regions"), ("model", "models")):
            if analysis[key] not in config[section]:
                known = ", ".join(config[section])
                yield f"analyses.{name}.{key}: no '{analysis[key]}' in {section}: {known}"
        if analysis["model"] in config["models"]:
            loader = config["models"][analysis["model"]]["loader"]
            if loader == "torchscript" and analysis["method"]["name"] == "deep_lift_shap":
                yield (
                    f"analyses.{name}: TorchScript shows no operations to deep_lift_shap; export the model "
                    "with torch.export (loader: exported), or use a gradient method or ism"
                )
            length = config["models"][analysis["model"]]["input_length"]
            lengths.setdefault(analysis["regions"], {})[length] = name
    for name, regions in config["regions"].items():
        wanted = lengths.get(name, {})
        if regions["length"] is not None:
            wanted = {**wanted, regions["length"]: "its own length"}
        if len(wanted) > 1:
            found = ", ".join(f"{length} ({who})" for length, who in wanted.items())
            yield f"regions.{name}: one set of regions has one length, but these differ: {found}"
        if not wanted and regions["peaks"] is not None:
            yield f"regions.{name}: no analysis uses it and it has no length: remove it or give one"
        if regions["hdf5"] is not None and regions["dataset"] is None:
            yield f"regions.{name}: hdf5 needs the name of the dataset"
    for name, model in config["models"].items():
        yield from _model_checks(name, model)
    yield from _method_checks(config)
    yield from _fold_checks(config)
    for name, analysis in config["analyses"].items():
        database = analysis["motifs"]["database"]
        if database.startswith("jaspar-") and database not in JASPAR:
            yield (
                f"analyses.{name}.motifs.database: '{database}' is not one of {', '.join(JASPAR)}"
                f"{suggestion(database, JASPAR)}"
            )
        for target, label in (analysis["labels"] or {}).items():
            for problem in _label_checks(config, analysis, target, label):
                yield f"analyses.{name}.labels.{target}: {problem}"


#: Keys of a model that say how it is loaded, and those of its input layout.
_LOADING = ("module", "architecture", "hyperparameters", "part", "bias")
_LAYOUT = ("channel_order", "axes", "dummy_axis", "pad_to", "controls")


def model_options(model: dict[str, Any]) -> dict[str, Any]:
    """Settings of a model for ``load_model``: those that are given, so that the others rerun nothing."""
    options: dict[str, Any] = {"loader": model["loader"], "trust_pickle": model["trust_pickle"]}
    options |= {key: model[key] for key in _LOADING if model[key]}
    layout = {key: model[key] for key in _LAYOUT if model[key]}
    if layout != {"channel_order": "ACGT", "axes": "NCL"}:
        options["layout"] = layout
    return options


def model_files(model: dict[str, Any]) -> list[str]:
    """Files of a model besides its weights: the source that builds it, the bias models."""
    source = [model["module"].rsplit(":", 1)[0]] if model["module"] else []
    bias = model["bias"] or []
    return source + (list(bias.values()) if isinstance(bias, dict) else [bias] if bias else [])


def _method_checks(config: dict[str, Any]) -> Iterator[str]:
    """References that are there, and a gate that the precision can pass."""
    for name, analysis in config["analyses"].items():
        references, gate = analysis["method"]["references"], analysis["qc"]
        if (references["kind"] == "saved") != (references["path"] is not None):
            yield f"analyses.{name}: references.path goes with kind: saved, which needs it"
        direct = config["regions"].get(analysis["regions"], {}).get("peaks") is None
        if references["kind"] == "genomic" and direct:
            yield (
                f"analyses.{name}: references of kind genomic keep away from the regions, which need peaks: "
                f"{analysis['regions']} are sequences given directly"
            )
        complete = analysis["method"]["name"] in ("deep_lift_shap", "integrated_gradients")
        strict = gate["on_fail"] != "keep" and gate["max_relative_delta"] < LEAST_BFLOAT16_DELTA
        if analysis["precision"] == "bfloat16" and complete and strict:
            yield (
                f"analyses.{name}: bfloat16 rounds predictions to three digits, so nearly every region fails "
                f"a qc.max_relative_delta of {gate['max_relative_delta']:g}; set on_fail: keep, a limit of "
                f"{LEAST_BFLOAT16_DELTA:g} or more, or another precision"
            )


def _fold_checks(config: dict[str, Any]) -> Iterator[str]:
    """Held-out chromosomes: of existing folds, each of one fold, and there where an analysis needs them."""
    for name, model in config["models"].items():
        held_out = model["held_out"] or {}
        strange = [fold for fold in held_out if fold not in model["folds"]]
        if strange:
            yield f"models.{name}.held_out: no fold '{strange[0]}'; folds are {', '.join(model['folds'])}"
        owner: dict[str, str] = {}
        for fold, chromosomes in held_out.items():
            for chromosome in chromosomes:
                if chromosome in owner:
                    yield (
                        f"models.{name}.held_out: {chromosome} is held out by {owner[chromosome]} and "
                        f"{fold}; expected one fold for each chromosome"
                    )
                owner[chromosome] = fold
        seen = sorted(set(owner) & set((model["training"] or {}).get("validation_chromosomes", ())))
        if seen:
            yield f"models.{name}.held_out: {', '.join(seen)} also chooses the epoch (validation_chromosomes)"
    for name, analysis in config["analyses"].items():
        model = config["models"].get(analysis["model"])
        if analysis["fold_use"] != "held_out" or model is None:
            continue
        if model["held_out"] is None:
            yield f"analyses.{name}: fold_use: held_out needs models.{analysis['model']}.held_out"
        elif config["regions"].get(analysis["regions"], {}).get("peaks") is None:
            yield (
                f"analyses.{name}: fold_use: held_out needs regions with chromosomes, and "
                f"{analysis['regions']} are sequences given directly"
            )


#: What labels are read from, and the other keys that go with it.
_LABEL_KEYS = {
    "column": ("table", "key"),
    "peaks": ("distance",),
    "bigwig": ("window",),
    "plus": ("minus", "window", "strand"),
    "dataset": ("hdf5", "index"),
}
_LABEL_DEFAULTS = {"key": "auto", "strand": "both", "index": 0, "distance": 80}


def _label_checks(
    config: dict[str, Any], analysis: dict[str, Any], target: str, label: dict[str, Any]
) -> Iterator[str]:
    """Labels of a target that exists, from one place, which fits the regions."""
    if target not in analysis["targets"]:
        yield f"no such target; targets are {', '.join(analysis['targets'])}"
    given = [key for key in _LABEL_KEYS if label[key] is not None]
    if len(given) != 1:
        yield f"give exactly one of {', '.join(_LABEL_KEYS)}; found {', '.join(given) or 'none'}"
        return
    source = given[0]
    others = {key for keys in _LABEL_KEYS.values() for key in keys} - set(_LABEL_KEYS[source])
    strange = sorted(key for key in others if label[key] != _LABEL_DEFAULTS.get(key))
    if strange:
        yield f"{', '.join(strange)} does not go with {source}"
    if source == "plus" and label["minus"] is None:
        yield "give both plus and minus, or bigwig"
    regions = config["regions"].get(analysis["regions"])
    model = config["models"].get(analysis["model"])
    if regions is None or model is None:
        return
    direct = regions["peaks"] is None
    if source in ("peaks", "bigwig", "plus"):
        length = regions["length"] or model["input_length"]
        if direct:
            yield f"{source} needs coordinates, and {analysis['regions']} are sequences given directly"
        if label["window"] is not None and (label["window"] > length or (length - label["window"]) % 2):
            yield f"window is {label['window']}; expected 1 to {length} bp, and an even difference"
    elif source == "dataset":
        if not direct:
            yield f"dataset goes with sequences given directly, not with the peaks of {analysis['regions']}"
        elif not (label["hdf5"] or regions["hdf5"]):
            yield f"dataset {label['dataset']} of which hdf5? The regions {analysis['regions']} have none"
    elif direct and label["table"] is None:
        yield f"column needs a table: the regions {analysis['regions']} have no peak file"


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
    for fold, weights in model["folds"].items():
        names = set(held_out.get(fold) or ())
        if training and weights is None:
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


def _layout_checks(name: str, model: dict[str, Any]) -> Iterator[str]:
    if sorted(model["channel_order"]) != sorted("ACGT"):
        yield f"models.{name}.channel_order: {model['channel_order']} is no order of A, C, G and T"
    if model["pad_to"] is not None and model["pad_to"] < model["input_length"]:
        yield (
            f"models.{name}.pad_to: {model['pad_to']} bp is less than input_length, the regions' length of "
            f"{model['input_length']} bp"
        )


def _loader_checks(name: str, model: dict[str, Any]) -> Iterator[str]:
    loader = model["loader"]
    owners = {
        "module": ("factory", "pickled"),
        "architecture": ("architecture",),
        "hyperparameters": ("architecture",),
        "part": ("chrombpnet",),
        "bias": ("chrombpnet",),
    }
    for key, loaders in owners.items():
        if model[key] and loader not in loaders:
            yield f"models.{name}: '{key}' goes with loader: {' or '.join(loaders)}, not {loader}"
    if loader == "architecture" and model["architecture"] is None:
        yield f"models.{name}: loader architecture needs architecture: the name of a network"
    if loader == "pickled" and not model["trust_pickle"]:
        yield (
            f"models.{name}: loader pickled runs whatever code the file holds; set trust_pickle: true if you "
            "trust its origin, or save its state dict and use loader: factory"
        )
    if isinstance(model["bias"], dict) and set(model["bias"]) != set(model["folds"]):
        yield (
            f"models.{name}.bias: folds {', '.join(model['bias'])}; expected a file for each of "
            f"{', '.join(model['folds'])}"
        )


def _model_checks(name: str, model: dict[str, Any]) -> Iterator[str]:
    yield from _loader_checks(name, model)
    yield from _layout_checks(name, model)
    trained = model["loader"] == "trained"
    if trained and model["training"] is None and None in model["folds"].values():
        yield f"models.{name}: a trained model needs 'training', or a weights file for every fold"
    if not trained and model["training"] is not None:
        yield f"models.{name}: 'training' goes with loader: trained, not {model['loader']}"
    if trained and model["training"] is not None:
        for problem in _training_checks(model["training"]):
            yield f"models.{name}.training: {problem}"
    if not trained and None in model["folds"].values():
        yield f"models.{name}.folds: loader {model['loader']} needs a weights file for every fold"
    if model["loader"] == "factory" and model["module"] is None:
        yield f"models.{name}: loader factory needs module: path/to/model.py:function"


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
        yield f"head {head} does not fit {source}: expected one of {', '.join(HEADS[source])}"
    if training["keep_epoch"] == "auprc" and head not in ("sigmoid", "softmax"):
        yield f"keep_epoch auprc goes with head sigmoid or softmax, not {head}"
    genomic = source in ("tasks", "signal")
    for key in ("validation_chromosomes", "test_chromosomes"):
        if genomic and not training[key]:
            yield f"{key} is empty; name at least one chromosome"
        if not genomic and training[key]:
            yield f"{key} goes with tasks and signal; {source} has validation_fraction and test_fraction"
    if not genomic and training["validation_fraction"] + training["test_fraction"] >= 1:
        yield "validation_fraction and test_fraction leave nothing to train on: they must sum to less than 1"
    negatives = training["negatives"]
    if (negatives["kind"] == "bed") != (negatives["path"] is not None):
        yield f"negatives.path goes with kind: bed, which needs it; found kind {negatives['kind']}"
    if negatives["kind"] == {"tasks": "none", "signal": "shuffle"}.get(source):
        yield f"negatives.kind {negatives['kind']} does not go with {source}"
    for name, track in (training["signal"] or {"tracks": {}})["tracks"].items():
        files = {key for key, path in track.items() if path is not None}
        if files not in ({"bigwig"}, {"plus", "minus"}):
            yield f"signal.tracks.{name}: give bigwig, or both plus and minus"
