"""Gate: a quality gate that was changed after the inspection is compared with what the inspection found.

Purpose: a stricter gate stops the run now, and not after the attributions; another gate inspects nothing anew.
Inputs: inspections. Outputs: the function below; no rule.
"""

_sys.path.insert(0, str(ROOT / "workflow"))
import gate as _gate

_sys.path.pop(0)


def gate_problems():
    """Why attributions would not pass the gate in the end, a sentence each."""
    planned = [
        (job.rule.name, job.wildcards.analysis)
        for job in workflow.dag.needrun_jobs()
        if job.rule.name in ("inspect_model", "attribute_chunk")
    ]
    return _gate.problems(config, planned)
