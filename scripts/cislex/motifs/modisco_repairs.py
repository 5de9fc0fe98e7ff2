"""Repairs of the pinned modisco-lite 3.0.0, each with the symptom that it fixes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cislex.motifs.modisco_seqlets import Seqlets


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


def prepare_kernels(threads: int) -> None:
    """Give TF-MoDISco its threads, and keep its compiled kernels for the jobs that follow on this machine.

    modisco-lite 3.0.0 keeps them only where it can fork: not with one thread, and not once numba has started
    OpenMP. Each job then compiled them again: 15 s of processor time, of 25 s for a target of 1,700 seqlets.
    """
    import numba
    from modiscolite import affinitymat, aggregator, gapped_kmer, util

    from cislex.runtime.compilation import compile_module_once

    numba.set_num_threads(min(threads, numba.get_num_threads()))
    for module in (affinitymat, aggregator, gapped_kmer, util):
        compile_module_once(module, cache=True)


@contextmanager
def seqlets_given(seqlets: Seqlets) -> Iterator[None]:
    """Let TF-MoDISco use these seqlets of the arrays that it is given.

    modisco-lite 3.0.0 extracts them itself, with all regions in memory several times in float64.
    """
    from modiscolite import core, extract_seqlets

    extract = extract_seqlets.extract_seqlets

    def give(*_: Any, **__: Any) -> tuple[list[Any], float]:
        places = zip(seqlets.rows.tolist(), seqlets.starts.tolist(), strict=True)
        found = [core.Seqlet(row, start, start + seqlets.width, False) for row, start in places]
        return found, seqlets.threshold

    extract_seqlets.extract_seqlets = give
    try:
        yield
    finally:
        extract_seqlets.extract_seqlets = extract
