"""What a plan of few regions cannot give, said before its first job. Plain Python without the package."""

from __future__ import annotations

from typing import Any

from cislex_workflow.job_resources import Work


def notices(config: dict[str, Any]) -> list[str]:
    """A line for each analysis whose regions are too few for distances between words.

    Parameters
    ----------
    config
        The complete config, paths filled in; region sets whose files do not exist yet are large enough.
    """
    work, found = Work(config), []
    for name, analysis in config["analyses"].items():
        settings = analysis["syntax"]
        if settings is None:
            continue
        count, least = work.regions(analysis["regions"]), settings["min_regions"]
        if count < least:
            found.append(
                f"analyses.{name}.syntax: {analysis['regions']} has about {count} regions, and distances are "
                f"tested for words that share {least} (min_regions): expect none; syntax: null omits it"
            )
    return found
