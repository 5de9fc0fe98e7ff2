"""Build the dataclasses of the attribution module from plain settings (a mapping, as in the config)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cislex.attribution import (
    ISM,
    TISM,
    DeepLiftShap,
    DinucleotideShuffle,
    ExpectedGradients,
    GenomicWindows,
    IntegratedGradients,
    Saliency,
    Shuffle,
    Uniform,
    Zeros,
    load_references,
)
from cislex.attribution.methods import Method
from cislex.attribution.references import References
from cislex.errors import ConfigError

#: Settings that each kind of references takes, by the name of its own argument.
_REFERENCES: dict[str, tuple[Any, dict[str, str]]] = {
    "dinucleotide_shuffle": (
        DinucleotideShuffle,
        {"n": "n", "seed": "seed", "start": "start", "end": "end", "sampling": "sampling"},
    ),
    "shuffle": (Shuffle, {"n": "n", "seed": "seed"}),
    "zeros": (Zeros, {}),
    "uniform": (Uniform, {"frequencies": "frequencies"}),
    "saved": (load_references, {"path": "path"}),
    "genomic": (
        GenomicWindows,
        {
            "n": "n", "seed": "seed", "tolerance": "gc_tolerance", "fasta": "fasta", "fai": "fai",
            "gzi": "gzi", "exclude": "exclude",
        },
    ),
}  # fmt: skip


def _chosen(settings: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The settings that are there, by the argument's name."""
    return {argument: settings[key] for argument, key in names.items() if key in settings}


def with_references(settings: Mapping[str, Any], n: int) -> dict[str, Any]:
    """Settings of a method with this number of references, in place of ``auto``."""
    return {**settings, "references": {**settings["references"], "n": n}}


def references_from_settings(settings: Mapping[str, Any]) -> References:
    """Build the references named by ``kind`` from the given settings.

    Parameters
    ----------
    settings
        ``kind`` (dinucleotide_shuffle, shuffle, zeros, uniform, genomic or saved), ``n``, ``seed``,
        ``start``, ``end``, ``sampling``, ``frequencies``, ``path``, ``gc_tolerance``; for genomic also
        ``fasta``, ``fai``, ``gzi`` and ``exclude``, a BED file.

    Raises
    ------
    ConfigError
        When the kind does not exist or a value is out of range.
    """
    kind = settings["kind"]
    if kind not in _REFERENCES:
        raise ConfigError(f"references.kind is {kind!r}; expected one of {', '.join(_REFERENCES)}")
    if settings.get("n") == "auto":
        raise ConfigError("references.n is 'auto'; expected the number that the inspection chose")
    made, names = _REFERENCES[kind]
    references: References = made(**_chosen(settings, names))
    return references


def method_from_settings(settings: Mapping[str, Any]) -> Method:
    """Build the attribution method named by ``name`` from the given options.

    Parameters
    ----------
    settings
        As in the config's ``method``: ``name``, ``rule``, ``references``, ``quadrature``, ``steps``,
        ``tolerance``, ``start``, ``end``, ``unknown_ops``, ``rules``.

    Raises
    ------
    ConfigError
        When the name is not one of deep_lift_shap, saliency, tism, integrated_gradients,
        expected_gradients, ism, or a value is out of range.
    """
    name = settings["name"]
    if name == "ism":
        return ISM(**_chosen(settings, {"start": "start", "end": "end"}))
    if name in ("saliency", "tism"):
        return Saliency() if name == "saliency" else TISM()
    given = settings.get("references")
    references: dict[str, Any] = {}
    if given is not None:
        references["references"] = references_from_settings(given)
    if name == "deep_lift_shap":
        names = {"rule": "rule", "unknown_ops": "unknown_ops"}
        rules = {"rules": settings["rules"]} if settings.get("rules") else {}
        return DeepLiftShap(**references, **rules, **_chosen(settings, names))
    if name == "integrated_gradients":
        names = {"steps": "steps", "rule": "quadrature", "tolerance": "tolerance"}
        return IntegratedGradients(**references, **_chosen(settings, names))
    if name == "expected_gradients":
        return ExpectedGradients(**references, **_chosen(given or {}, {"seed": "seed"}))
    raise ConfigError(
        f"method.name is {name!r}; expected deep_lift_shap, saliency, tism, integrated_gradients, "
        "expected_gradients or ism"
    )
