"""From plain settings (a mapping, as in the config) to the dataclasses of the attribution module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cislex.attribution import (
    ISM,
    TISM,
    DeepLiftShap,
    DinucleotideShuffle,
    IntegratedGradients,
    Saliency,
    Shuffle,
    Uniform,
    Zeros,
)
from cislex.attribution.methods import Method
from cislex.errors import ConfigError


def references_from_settings(settings: Mapping[str, Any]) -> Any:
    """References named by ``kind``: dinucleotide_shuffle, shuffle, zeros or uniform."""
    kind = settings["kind"]
    if kind == "dinucleotide_shuffle":
        return DinucleotideShuffle(n=settings["n"], seed=settings["seed"])
    if kind == "shuffle":
        return Shuffle(n=settings["n"], seed=settings["seed"])
    if kind == "zeros":
        return Zeros()
    if kind == "uniform":
        return Uniform()
    raise ConfigError(
        f"references.kind is {kind!r}; expected dinucleotide_shuffle, shuffle, zeros or uniform"
    )


def method_from_settings(settings: Mapping[str, Any]) -> Method:
    """Attribution method named by ``name``, with its options.

    Parameters
    ----------
    settings
        ``name, rule, references, steps, unknown_ops`` as in the config's ``method``.

    Raises
    ------
    ConfigError
        When the name is not one of deep_lift_shap, saliency, tism, integrated_gradients, ism.
    """
    name = settings["name"]
    if name == "deep_lift_shap":
        return DeepLiftShap(
            references=references_from_settings(settings["references"]),
            rule=settings["rule"],
            unknown_ops=settings["unknown_ops"],
        )
    if name == "integrated_gradients":
        return IntegratedGradients(
            steps=settings["steps"], references=references_from_settings(settings["references"])
        )
    simple: dict[str, Any] = {"saliency": Saliency, "tism": TISM, "ism": ISM}
    if name not in simple:
        raise ConfigError(f"method.name is {name!r}; expected deep_lift_shap, {', '.join(simple)}")
    return simple[name]()
