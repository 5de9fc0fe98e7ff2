"""Cluster: before the first job is submitted to SLURM, ask whether SLURM can run the plan.

Purpose: a missing sbatch, an unknown partition or a GPU where there is none is one sentence now, not a
hundred failed submissions later. Asked on the host of Snakemake (start.smk), and only with the SLURM executor.
A profile that does not exist is told at once, in a dry run, too.
Inputs: the command line; partitions and GPUs of the planned jobs. Outputs: the function below; no rule.
"""

_sys.path.insert(0, str(ROOT / "workflow"))
import cluster as _cluster

_sys.path.pop(0)

_problem = _cluster.missing_profile(
    _sys.argv, _Path(workflow.workdir_init), _Path(workflow.main_snakefile)
)
if _problem:
    raise WorkflowError(_problem)


def cluster_problems():
    """Why SLURM cannot run the planned jobs, a sentence each; nothing without the SLURM executor."""
    if workflow.executor_plugin.name != "slurm":
        return []
    return _cluster.check(
        _cluster.requests(workflow.dag.needrun_jobs()),
        workflow.executor_settings.status_command,
    )
