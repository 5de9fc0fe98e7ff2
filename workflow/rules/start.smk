"""Start: what is asked once, before the first job of a run.

Purpose: a run that would cost more than its budget, that would not pass its own gate, or that the cluster
cannot do, is refused in a sentence; what begins is recorded.
Inputs: the planned jobs, the config. Outputs: runs/<time>-<process>.yaml; no rule.
"""

_sys.path.insert(0, str(ROOT / "workflow"))
import record as _record

_sys.path.pop(0)


onstart:
    for _what, _problems in (
        ("this run is over its budget", budget_problems()),
        ("this run would not pass its quality gate", gate_problems()),
        ("the cluster cannot run this plan", cluster_problems()),
    ):
        if _problems:
            raise WorkflowError(f"{_what}:\n  " + "\n  ".join(_problems))
    _record.write(
        _Path(RESULTS) / "runs",
        _sys.argv,
        config=PORTABLE_CONFIG,
        files=_inputs.named_files(config),
        root=ROOT,
    )
