"""Whether the comparisons of a config can be made of its analyses. Plain Python without the package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cislex_workflow.config.errors import suggestion
from cislex_workflow.config.storage_settings import comparable


def comparison_checks(config: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each misfit of a complete config."""
    for name, settings in config["comparisons"].items():
        unknown = [one for one in settings["analyses"] if one not in config["analyses"]]
        for one in unknown:
            known = ", ".join(config["analyses"])
            yield (
                f"comparisons.{name}.analyses: no '{one}' in analyses: "
                f"{known}{suggestion(one, config['analyses'])}"
            )
        if not unknown:
            yield from (f"comparisons.{name}.{problem}" for problem in _problems(settings, config))


def _problems(settings: dict[str, Any], config: dict[str, Any]) -> Iterator[str]:
    chosen = settings["analyses"]
    analyses = {name: config["analyses"][name] for name in chosen}
    first, own = next(iter(analyses.items()))
    strange = [name for name in settings["uncorrected"] if name not in chosen]
    if strange:
        yield f"uncorrected: '{strange[0]}' is not among the analyses of this comparison: {', '.join(chosen)}"
    sources = [*chosen, *(f"{name}.uncorrected" for name in settings["uncorrected"])]
    if len(sources) < 2:
        yield f"analyses: found only {sources[0]}; name at least two, or set uncorrected"
    taken = next((name for name in sources if sources.count(name) > 1), None)
    if taken:
        yield f"analyses: '{taken}' is there twice; rename the analysis"
    yardstick = settings["yardstick"]
    if yardstick is not None and yardstick not in sources:
        yield f"yardstick: no '{yardstick}' in {', '.join(sources)}{suggestion(yardstick, sources)}"
    for name, other in analyses.items():
        if other["regions"] != own["regions"]:
            yield (
                f"analyses: {first} is of regions {own['regions']}, {name} of {other['regions']}; "
                "compare analyses of one region set"
            )
        if set(other["targets"]) != set(own["targets"]):
            found = f"{first} has targets {', '.join(own['targets'])}, {name} {', '.join(other['targets'])}"
            yield f"analyses: {found}; give the targets to compare the same names"
    yield from (f"analyses: {problem}" for problem in comparable(chosen, config))
    if settings["faithfulness"] is not None and own["attributions"]["window"] is not None:
        yield (
            f"faithfulness: replaces bases of whole regions, but {first} stores a window of them "
            "(attributions.window); set faithfulness: null"
        )
    model = config["models"].get(own["model"])
    if model is not None and max(settings["top"], default=0) > model["input_length"]:
        yield f"top: found {max(settings['top'])}; the sequences have {model['input_length']} bp"
