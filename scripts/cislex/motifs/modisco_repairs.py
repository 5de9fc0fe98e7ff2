"""Repairs of the pinned modisco-lite 3.0.0, each with the symptom that it fixes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def no_seqlet_is_no_pattern() -> Iterator[None]:
    """Let TF-MoDISco find nothing where none of a sign's seqlets passes its correlation filter.

    modisco-lite 3.0.0 takes the maximum of an empty list of cluster numbers there, and stops.
    """
    from modiscolite import tfmodisco

    build = tfmodisco._patterns_from_clusters

    def build_if_any(seqlets: Any, *args: Any, **options: Any) -> Any:
        return build(seqlets, *args, **options) if len(seqlets) else []

    tfmodisco._patterns_from_clusters = build_if_any
    try:
        yield
    finally:
        tfmodisco._patterns_from_clusters = build
