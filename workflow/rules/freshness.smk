"""Freshness: results are recomputed if and only if the content of what they depend on changed.

Purpose: a run never keeps stale results and never repeats finished work, even without `.snakemake`.
Inputs: the planned jobs; runs/records.jsonl and runs/digests.json next to the results, written as jobs finish.
Outputs: the planned jobs that must run; no rule. How: workflow/cislex_workflow/reruns/watch.py.
"""

_watched = _watch.Watch(RESULTS, ROOT, config["analyses"])
if not CHECKS_ONLY:
    _watched.install(workflow)
