"""Freshness: results are made again when what they depend on changed in content, and only then.

Purpose: a run never keeps stale results and never repeats what is there, also where `.snakemake` is gone.
Inputs: the planned jobs; runs/records.jsonl and runs/digests.json beside the results, written as jobs finish.
Outputs: the planned jobs that must run; no rule. How: workflow/cislex_workflow/reruns/watch.py.
"""

_watched = _watch.install(workflow, RESULTS, ROOT, config["analyses"])
