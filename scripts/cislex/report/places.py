"""Where each part of the report stands: on one page, or on an index and one page for each target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from cislex.report.specs import AnalysisTarget

#: The page of a run as a whole where each target has one of its own.
INDEX = "index.html"


def target_anchor(analysis: str, target: str) -> str:
    """The id of a target's section."""
    return quote(f"{analysis}.{target}", safe="")


@dataclass(frozen=True)
class Places:
    """Addresses on a page of the report.

    Parameters
    ----------
    here
        The id of the target whose page it is; None on the index, and on the only page.
    pages
        Ids of the targets that have pages of their own.
    """

    here: str | None = None
    pages: frozenset[str] = frozenset()

    def href(self, anchor: str, target: str = "") -> str:
        """Address of an id; ``target`` is the id of the target whose section it stands in, empty: none."""
        if (target if target in self.pages else None) == self.here:
            return f"#{anchor}"
        return f"{page_name(target) if target in self.pages else INDEX}#{anchor}"


def page_name(anchor: str) -> str:
    """File name of a target's page, which an address quotes."""
    return quote(f"{anchor}.html")


def places_of(analyses: Sequence[AnalysisTarget], *, pages_above: int) -> tuple[Places, list[Places]]:
    """Of the index (or the only page), and of the page of each target, if there are more than so many."""
    if len(analyses) <= pages_above:
        return Places(), []
    anchors = frozenset(target_anchor(spec.analysis, spec.target) for spec in analyses)
    return Places(pages=anchors), [
        Places(here=target_anchor(spec.analysis, spec.target), pages=anchors) for spec in analyses
    ]
