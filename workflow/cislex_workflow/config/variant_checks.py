"""Whether the sets of variants of a config fit its analyses. Plain Python without the package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cislex_workflow.config.errors import suggestion


def variant_checks(config: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each misfit of a complete config."""
    for name, settings in config["variants"].items():
        where = f"variants.{name}"
        analysis = config["analyses"].get(settings["analysis"])
        if analysis is None:
            yield (
                f"{where}.analysis: no '{settings['analysis']}' in analyses: {', '.join(config['analyses'])}"
                f"{suggestion(settings['analysis'], config['analyses'])}"
            )
            continue
        targets = list(analysis["targets"])
        named = [("counts", key) for key in settings["counts"]]
        named += [("signs", key) for pair in settings["signs"].items() for key in pair]
        for key, target in named:
            if target not in targets:
                known = ", ".join(targets)
                yield f"{where}.{key}: no target '{target}' in analysis {settings['analysis']}: {known}"
        if settings["observed"] is not None and settings["table"] is None:
            yield f"{where}.observed: found '{settings['observed']}'; a VCF has no such column, name a table"
        if settings["observed"] is None and settings["observed_threshold"] is not None:
            yield f"{where}.observed_threshold: needs observed, the column of the measurements"
        if settings["top"] and analysis["method"]["references"]["kind"] == "saved":
            name = settings["analysis"]
            yield f"{where}.top: analysis {name} has saved references, of its regions alone; set null"
        model = config["models"].get(analysis["model"])
        if model is None:
            continue
        half = model["input_length"] // 2
        far = [shift for shift in settings["shifts"] if abs(shift) > half]
        if far:
            yield f"{where}.shifts: found {far[0]}; expected at most half of the window, {half} bp"
