"""Start: checks made once, before the first job of a run.

Purpose: a run that would cost more than its budget, that would not pass its own quality gate, or that SLURM
cannot do (no sbatch, an unknown partition, no GPU) is refused in one sentence, not by a hundred failed jobs;
runs that start are recorded. A missing profile is an error at once, also in a dry run. While a run goes on, the
terminal says what is running, and at its end what was found, or how to go on.
Inputs: the planned jobs, the config, inspections. Outputs: runs/<time>-<process>.yaml; no rule.
"""

_problem = _cluster.missing_profile(
    _sys.argv, _Path(workflow.workdir_init), _Path(workflow.main_snakefile)
)
if _problem:
    raise WorkflowError(_problem)


def gate_problems():
    """Reasons why attributions would fail the quality gate, one sentence each."""
    planned = [
        (job.rule.name, job.wildcards.analysis)
        for job in workflow.dag.needrun_jobs()
        if job.rule.name in ("inspect_model", "attribute_chunk")
    ]
    return _gate.problems(config, planned)


def cluster_problems():
    """Reasons why SLURM cannot run the planned jobs, one sentence each; none without the SLURM executor."""
    if workflow.executor_plugin.name != "slurm":
        return []
    return _cluster.check(
        _cluster.requests(workflow.dag.needrun_jobs()),
        workflow.executor_settings.status_command,
    )


onstart:
    for _what, _problems in (
        ("this run is over its budget", budget_problems()),
        ("this run would fail its quality gate", gate_problems()),
        ("the cluster cannot run this plan", cluster_problems()),
    ):
        if _problems:
            raise WorkflowError(f"{_what}:\n  " + "\n  ".join(_problems))
    if not CHECKS_ONLY:
        _run_record.write(
            _Path(RESULTS) / "runs",
            _sys.argv,
            config=PORTABLE_CONFIG,
            files=_input_files.named_files(config),
            root=ROOT,
        )
    if _SHOWN:
        _planned = list(workflow.dag.needrun_jobs())
        _JOBS.plan(
            _Counter(job.rule.name for job in _planned),
            {
                name: job.resources.get("runtime", 0)
                for name, job in {job.rule.name: job for job in _planned}.items()
            },
        )
        _lines.watch(_logger)


onsuccess:
    if CHECKS_ONLY:
        _said, _faults = _checked.found(_Path(RESULTS) / "verification.tsv")
        print("\n".join(["", *_said]))
        if _faults:
            _said = f"{_faults} of its files {'has' if _faults == 1 else 'have'} faults, named above"
            print(f"\n{RESULTS}: {_said}", file=_sys.stderr)
            # Not an error of the workflow, which Snakemake would show with the line of code that raised it.
            raise SystemExit(1)
    if _SHOWN and not CHECKS_ONLY:
        _made = sorted(map(str, workflow.dag.derived_targetfiles))
        _said = _closing.succeeded(config, _Path.cwd(), _JOBS, _made)
        _logger.info("\n".join(["", *_said]))


onerror:
    if _SHOWN:
        _logger.error("\n".join(["", *_closing.failed(_JOBS, _sys.argv)]))
