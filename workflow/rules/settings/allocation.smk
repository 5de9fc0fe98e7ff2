"""Memory and time of jobs.

Purpose: the ``resources:`` of every rule, as functions of what its jobs work on and of the attempt.
Inputs: the config, sizes of files, inspections. Outputs: the functions below; no rule. How much and why:
workflow/cislex_workflow/job_resources.py.
"""

_work = _expected_work.Work(config)


def memory_of(name):
    """``mem_mb`` of the jobs of a rule: more at every new attempt."""
    return lambda wildcards, attempt: (
        attempt * _job_resources.ask(_work, name, dict(wildcards.items())).mem_mb
    )


def runtime_of(name):
    """``runtime`` in minutes of the jobs of a rule: more at every new attempt."""
    return lambda wildcards, attempt: (
        attempt * _job_resources.ask(_work, name, dict(wildcards.items())).runtime
    )
