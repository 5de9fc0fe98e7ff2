"""Cluster: before the first job is submitted to SLURM, ask whether SLURM can run the plan.

Purpose: a missing sbatch, an unknown partition or a GPU where there is none is one sentence now, not a
hundred failed submissions later. Runs on the host of Snakemake, and only with the SLURM executor.
Inputs: partitions and GPUs of the planned jobs. Outputs: none; no rule.
"""

_sys.path.insert(0, str(ROOT / "workflow"))
import cluster as _cluster

_sys.path.pop(0)


onstart:
    if workflow.executor_plugin.name == "slurm":
        _problems = _cluster.check(
            _cluster.requests(workflow.dag.needrun_jobs()),
            workflow.executor_settings.status_command,
        )
        if _problems:
            raise WorkflowError(
                "the cluster cannot run this plan:\n  " + "\n  ".join(_problems)
            )
