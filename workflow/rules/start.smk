"""Start: what is asked once, before the first job of a run.

Purpose: a run that would cost more than its budget, that would not pass its own gate, or that the cluster
cannot do, is refused in a sentence.
Inputs: the planned jobs. Outputs: none; no rule.
"""


onstart:
    for _what, _problems in (
        ("this run is over its budget", budget_problems()),
        ("this run would not pass its quality gate", gate_problems()),
        ("the cluster cannot run this plan", cluster_problems()),
    ):
        if _problems:
            raise WorkflowError(f"{_what}:\n  " + "\n  ".join(_problems))
