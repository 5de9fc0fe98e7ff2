"""Keys that the chosen method, kind or source does not use: a setting without effect is refused.

A key counts as given where it differs from its default, so that the snapshot of a run, which holds all
defaults, stays valid. Plain Python without the package.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from cislex_workflow.config.expectations import one_of, shown
from cislex_workflow.config.model_settings import HEADS, training_head
from cislex_workflow.config.motif_settings import databases, is_jaspar, seqlet_databases
from cislex_workflow.config.reference_settings import KINDS, METHODS
from cislex_workflow.config.schema import fill_defaults
from cislex_workflow.config.schema_parts import below

#: Choices with which each key is used.
Owners = Mapping[str, tuple[str, ...]]
HITS: Owners = {"alpha": ("finemo",), "batch_size": ("finemo",), "max_p": ("scan",), "release": ("scan",)}
METHOD: Owners = {
    "references": METHODS,
    **dict.fromkeys(("rule", "rules", "unknown_ops"), ("deep_lift_shap",)),
    **dict.fromkeys(("quadrature", "steps", "tolerance"), ("integrated_gradients",)),
    **dict.fromkeys(("start", "end"), ("ism",)),
}
REFERENCES: Owners = {
    **dict.fromkeys(("n", "seed"), KINDS),
    **dict.fromkeys(("start", "end", "sampling"), ("dinucleotide_shuffle",)),
    "frequencies": ("uniform",),
    "gc_tolerance": ("genomic",),
}
_GENOMIC, _GIVEN = ("tasks", "signal"), ("labels", "hdf5")
SOURCES: Owners = {
    **dict.fromkeys(
        ("negatives", "malformed", "exclude_chromosomes", "negatives_per_positive", "positive_distance",
         "train_negatives_per_positive", "min_negative_distance", "jitter"),
        _GENOMIC,
    ),
    **dict.fromkeys(("validation_fraction", "test_fraction"), _GIVEN),
    **dict.fromkeys(("hold_out", "stride"), ("labels",)),
    "background": ("tasks",),
}  # fmt: skip
LOSSES: Owners = {
    "positive_weight": ("sigmoid",),
    "class_weights": ("softmax",),
    "background": ("softmax",),
    "focal_gamma": ("sigmoid", "softmax"),
    "counts_weight": ("profile",),
}


def unused_keys(config: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    """A line for each key of a complete config that has no effect for the sake of another key.

    Parameters
    ----------
    config
        The config, with all defaults.
    schema
        The schema, which has the defaults.
    """
    defaults_of = functools.cache(lambda *path: _defaults(schema, path))
    for path, settings, choice, owners in _sections(config):
        defaults = defaults_of(path[0], "*", *path[2:])
        for key, choices in owners.items():
            selector, _, chosen = choice.rpartition(": ")
            if settings[key] != defaults[key] and chosen not in choices:
                yield (
                    f"{'.'.join(path)}.{key}: {_shown(settings[key])} is only used with {selector}"
                    f"{': ' if selector else ''}{one_of(list(choices))}, not {chosen}; leave it out"
                )
    for name, analysis in config["analyses"].items():
        yield from _release_checks(name, analysis, defaults_of("analyses", "*", "motifs")["release"])


def _sections(
    config: dict[str, Any],
) -> Iterator[tuple[tuple[str, ...], dict[str, Any], str, Owners]]:
    """Path and settings of each section with a choice, the choice, and with which ones its keys are used."""
    for name, analysis in config["analyses"].items():
        path, hits, method = ("analyses", name), analysis["hits"], analysis["method"]
        if hits is not None:
            yield (*path, "hits"), hits, f"method: {hits['method']}", HITS
        yield (*path, "method"), method, f"name: {method['name']}", METHOD
        if method["name"] == "integrated_gradients":
            quadrature = f"quadrature: {method['quadrature']}"
            yield (*path, "method"), method, quadrature, {"tolerance": ("adaptive",)}
        if method["name"] in METHOD["references"]:
            given = method["references"]
            yield (*path, "method", "references"), given, f"kind: {given['kind']}", REFERENCES
    for name, model in config["models"].items():
        training = model["training"]
        given = [source for source in HEADS if (training or {}).get(source) is not None]
        if len(given) == 1:  # else told by the checks of models
            # 1 leaves a loss as it is, as does auto.
            weight = {} if training["positive_weight"] != 1 else {"positive_weight": "auto"}
            yield ("models", name, "training"), training, given[0], SOURCES
            head = training_head(training)
            if head in HEADS[given[0]]:
                yield ("models", name, "training"), {**training, **weight}, f"head: {head}", LOSSES


def _defaults(schema: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """Defaults of the keys of a section."""
    parts, found = [schema], dict[str, Any]()
    for key in path:
        parts = below(parts, key, schema)
    for part in parts:
        fill_defaults(found, part, schema)
    return found


def _release_checks(name: str, analysis: dict[str, Any], default: str) -> Iterator[str]:
    """A release of JASPAR where none of its collections is named."""
    motifs, hits = analysis["motifs"], analysis["hits"]
    told = []
    if motifs is not None:
        named = [*databases(motifs), *seqlet_databases(analysis)]
        told.append(("motifs", motifs["release"], named))
    if hits is not None and hits["method"] == "scan":
        told.append(("hits", hits["release"], [hits["database"] or "null"]))
    for part, release, named in told:
        if release != default and not any(map(is_jaspar, named)):
            yield (
                f"analyses.{name}.{part}.release: {release} is of JASPAR, but found database "
                f"{', '.join(named)}; leave it out"
            )


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else shown(value)
