"""Memory and time of jobs.

Purpose: the ``resources:`` of every rule, as functions of what its jobs work on and of the attempt.
Inputs: the config, sizes of files, inspections. Outputs: the functions below; no rule. How much and why:
workflow/allocation.py.
"""

_sys.path.insert(0, str(ROOT / "workflow"))
import allocation as _allocation

_sys.path.pop(0)

_work = _allocation.Work(config)


def memory_of(name):
    """``mem_mb`` of the jobs of a rule: more at every new attempt."""
    return lambda wildcards, attempt: (
        attempt * _allocation.ask(_work, name, dict(wildcards.items())).mem_mb
    )


def runtime_of(name):
    """``runtime`` in minutes of the jobs of a rule: more at every new attempt."""
    return lambda wildcards, attempt: (
        attempt * _allocation.ask(_work, name, dict(wildcards.items())).runtime
    )
