"""Files that the page links to: those of one target, and those that several share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cislex.report.specs import AnalysisTarget


def split_links(analyses: Sequence[AnalysisTarget]) -> tuple[list[list[Path]], list[Path]]:
    """Return the files that each target has for itself, and those of more than one target, each once."""
    uses = Counter(path for spec in analyses for path in dict.fromkeys(spec.links))
    own = [[path for path in spec.links if uses[path] == 1] for spec in analyses]
    return own, [path for path, times in uses.items() if times > 1]
