"""Settings that a method uses: the config fills in every key, and the page shows those that count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Keys of each method besides its name, as in the config.
OF_METHOD = {
    "deep_lift_shap": ("rule", "references", "unknown_ops", "rules"),
    "integrated_gradients": ("quadrature", "steps", "tolerance", "references"),
    "expected_gradients": ("references",),
    "ism": ("start", "end"),
    "saliency": (),
    "tism": (),
}
#: Keys of each kind of references besides the kind.
OF_REFERENCES = {
    "dinucleotide_shuffle": ("n", "sufficiency", "most", "seed", "start", "end", "sampling"),
    "shuffle": ("n", "sufficiency", "most", "seed"),
    "genomic": ("n", "sufficiency", "most", "seed", "gc_tolerance"),
    "zeros": (),
    "uniform": ("frequencies",),
    "saved": ("path",),
}


def used(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an analysis without keys of ``method`` that its method does not use."""
    method = settings.get("method")
    if not isinstance(method, Mapping):
        return dict(settings)
    kept = _kept(method, "name", OF_METHOD)
    if kept.get("quadrature") != "adaptive":
        kept.pop("tolerance", None)
    if not kept.get("rules", True):
        del kept["rules"]
    references = kept.get("references")
    if isinstance(references, Mapping):
        shown = _kept(references, "kind", OF_REFERENCES)
        unused = {"sufficiency", "most"} if shown.get("n") != "auto" else set()
        kept["references"] = {key: value for key, value in shown.items() if key not in unused}
    return {**settings, "method": kept}


def _kept(given: Mapping[str, Any], key: str, keys: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Entries that the kind uses; all of a kind that is not listed."""
    own = keys.get(str(given.get(key)))
    return (
        dict(given) if own is None else {name: value for name, value in given.items() if name in (key, *own)}
    )
