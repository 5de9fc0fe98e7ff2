"""Decide which jobs Snakemake reruns, by content: records of freshness.py instead of dates.

Snakemake compares dates, and settings with what it keeps in ``.snakemake``, which does not travel with
results. Here, when the plan is made, each job whose outputs are there is compared with its record. One that
differs is made again, with a reason; one that agrees is left alone, whatever dates say. A job without a
record is Snakemake's to judge. A record is written when a job finishes.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from snakemake.logging import logger

from cislex_workflow.reruns.freshness import (
    Digests,
    Names,
    Record,
    Records,
    differences,
    digest_folder,
    phrase,
)
from cislex_workflow.reruns.target_plan import (
    ATTRIBUTES,
    TargetPlan,
    is_of,
    with_inspected_targets,
    with_targets,
)

#: Folder below the results where records are kept.
FOLDER = "runs"
#: Stale files that are named in full.
MOST_NAMED = 12
#: Seconds between two writings of the digests; what is lost is read again.
SAVED_EVERY = 30
#: Rules whose outputs only pass on to the next rule what that depends on by itself, and how the names of
#: such inputs end or what they contain.
PASSING_RULES, PASSING_INPUTS = (ATTRIBUTES,), ("/chunks/", "/inspected.json")
#: Ends of the names of small files that pass on, of which a digest is kept nevertheless.
UNREAD = "/inspected.json"
#: Ends of the names of files whose rows are those of a region set.
ATTRIBUTIONS = ("/attributions.h5", "/attributions.all.h5")
#: Rerun triggers without which the user asked for less than content; records are kept nevertheless.
TRIGGERS = {"params", "input"}
#: Questions on what Snakemake remembers of a job, and the answers where nothing differs.
AGREEING = {
    "has_metadata": True,
    "has_outdated_metadata": False,
    "params_changed": False,
    "input_changed": (),
}
#: What is used of Snakemake beyond its documentation.
EXPECTED = {
    "workflow": ("dag", "persistence", "iocache", "rerun_triggers"),
    "dag": (
        "jobs",
        "targetjobs",
        "depending",
        "dependencies",
        "bfs",
        "forcefiles",
        "forcerules",
        "needrun",
        "update_needrun",
    ),
    "persistence": ("started", "finished", *AGREEING),
    "iocache": ("mtime",),
}
UNEXPECTED = (
    "unexpected version of Snakemake ({}): reruns follow dates and the records in .snakemake, not file "
    "contents"
)


class Watch:
    """The jobs of one results folder.

    Parameters
    ----------
    results, project
        The results folder as the config spells it, and the folder of the workflow.
    analyses
        Names of the config's analyses.
    """

    def __init__(self, results: str, project: Path, analyses: Iterable[str]) -> None:
        self.names = Names(results, str(project))
        self._analyses = set(analyses)
        folder = Path(results) / FOLDER
        self.digests = Digests(folder / "digests.json", self.names)
        self.records = Records(folder / "records.jsonl")
        #: Jobs whose outputs are what they would be made as now, and phrases why others are not.
        self.matched: set[Any] = set()
        self.stale: dict[Any, list[str]] = {}
        #: Which targets are attributed, where it is not all of them.
        self.targets = TargetPlan(results)
        self._forced: set[Any] = set()
        self._started: dict[Any, dict[str, str | None]] = {}
        self._told: set[str] = set()
        self._saved = time.monotonic()

    def install(self, workflow: Any) -> None:
        """Look at every plan that Snakemake makes from now on; nothing in the processes of single jobs."""
        if not workflow.is_main_process:
            self.targets.read()
            return
        self.targets.tell()
        prepare = getattr(workflow, "_prepare_dag", None)
        if prepare is None:
            logger.warning(UNEXPECTED.format("workflow._prepare_dag"))
            return

        def prepare_and_watch(*arguments: Any, **options: Any) -> None:
            prepare(*arguments, **options)
            missing = missing_parts(workflow)
            if missing:
                logger.warning(UNEXPECTED.format(", ".join(missing)))
            else:
                self._attach(workflow)

        workflow._prepare_dag = prepare_and_watch

    def _attach(self, workflow: Any) -> None:
        dag, persistence = workflow.dag, workflow.persistence
        self._forced = set()
        decide, started, finished = dag.update_needrun, persistence.started, persistence.finished

        by_content = {str(trigger) for trigger in workflow.rerun_triggers} >= TRIGGERS

        async def update_needrun(create_inventory: bool = False) -> None:
            if not (create_inventory and by_content):
                await decide(create_inventory=create_inventory)
                return
            overruled: set[Any] = set()
            while True:
                self._look(dag, overruled)
                await decide(create_inventory=True)
                found = self.targets.overruled(dag)
                if not found:
                    break
                overruled |= found
                self.targets.restore()
            self.targets.tell()
            self._tell()
            self.digests.save()

        def job_started(job: Any, *arguments: Any, **options: Any) -> None:
            if self._is_own(job):
                self._started[job] = self._inputs(job)
            started(job, *arguments, **options)

        async def job_finished(job: Any) -> None:
            await finished(job)
            if self._is_own(job):
                self._keep(job)

        dag.update_needrun = update_needrun
        persistence.started, persistence.finished = job_started, job_finished
        for name, answer in AGREEING.items():
            setattr(persistence, name, self._unless_matched(getattr(persistence, name), answer))
        atexit.register(self.digests.save)

    def _unless_matched(self, ask: Callable[..., Any], answer: Any) -> Callable[..., Any]:
        """What Snakemake remembers of a job counts only where there is no record of it."""
        return lambda job, *arguments, **options: (
            answer if job in self.matched else ask(job, *arguments, **options)
        )

    def _look(self, dag: Any, overruled: set[Any]) -> None:
        """Judge the plan; where Snakemake is not as expected, say so and change nothing."""
        dag.forcefiles.difference_update(self._forced)
        try:
            self._judge(dag, overruled)
        except (AttributeError, TypeError, ImportError) as error:
            self.matched, self.stale = set(), {}
            self.targets.restore()
            logger.warning(UNEXPECTED.format(error))
        self._forced = {path for job in self.stale for path in job.output} - dag.forcefiles
        dag.forcefiles.update(self._forced)

    def _is_own(self, job: Any) -> bool:
        return bool(job.output) and all(
            self.names.portable(str(path)).startswith("{results}/") for path in job.output
        )

    def _inputs(self, job: Any) -> dict[str, str | None]:
        paths = {self.names.portable(str(path)): str(path) for path in job.input}
        return {name: self.digests.of(path) for name, path in paths.items() if not passes_on(name)}

    def _now(self, job: Any) -> Record:
        """What a job would be made from now, and its outputs as they are."""
        outputs = {self.names.portable(str(path)): self._verified(path) for path in job.output}
        return Record(self.names.settings(dict(job.params.items())), self._inputs(job), outputs)

    def _verified(self, path: Any) -> str | None:
        """Digest of an output, but of none that is temporary or only passes on: chunks may take terabytes."""
        is_read = not path.flags.get("temp") and not passes_on(self.names.portable(str(path)))
        return self.digests.of(str(path)) if is_read else None

    def _keep(self, job: Any) -> None:
        record = self._now(job)
        record.inputs = self._started.pop(job, record.inputs)
        record.outputs |= self._unread(job)
        try:
            self.records.add(record)
        except OSError as error:
            logger.warning(f"could not record {record.name}, so its reruns will follow dates: {error}")
        if time.monotonic() - self._saved > SAVED_EVERY:
            self.digests.save()
            self._saved = time.monotonic()

    def _unread(self, job: Any) -> dict[str, str | None]:
        """Digests of outputs that no plan compares: folders, and small files that only pass on.

        A check of the results does (rule verify_results).
        """
        names = {self.names.portable(str(path)): path for path in job.output if not path.flags.get("temp")}
        folders = {name: digest_folder(str(path)) for name, path in names.items() if os.path.isdir(path)}
        small = {name: self.digests.of(str(path)) for name, path in names.items() if name.endswith(UNREAD)}
        return {**folders, **small}

    def _judge(self, dag: Any, overruled: set[Any]) -> None:
        """Sort the jobs whose outputs are there; those that differ will run, those that agree will not."""
        self.matched, self.stale = set(), {}
        jobs = [job for job in dag.jobs if self._is_own(job)]
        passing = [job for job in jobs if is_of(job, *PASSING_RULES)]
        unknown = [job for job in jobs if not is_of(job, *PASSING_RULES) and not self._compare(job)]
        self.targets.thin(
            dag, jobs, matched=self.matched.__contains__, harmless=self._has_other_targets, wanted=overruled
        )
        self.stale = {job: found for job, found in self.stale.items() if job in dag.dependencies}
        for job in [job for job in passing if job in dag.dependencies]:
            is_known = self._compare(job)
            if not is_known:
                unknown.append(job)
            elif job not in dag.targetjobs and self.matched.issuperset(dag.depending[job]):
                self.matched.add(job)  # nothing needs its files any more, whether or not they were kept
                self.stale.pop(job, None)
        self._renew(dag, {str(path) for job in unknown for path in job.input})

    def _compare(self, job: Any) -> bool:
        """Compare a job whose outputs are there with its record; False where there is no record of it."""
        if not all(os.path.lexists(path) for path in job.output):
            return True
        record = self.records.get(self.names.portable(str(job.output[0])))
        if record is None:
            return False
        now = self._now(job)
        found = differences(with_targets(record, now), now, names=self.names)
        if found:
            self.stale[job] = found
        else:
            self.matched.add(job)
        return True

    def _has_other_targets(self, job: Any) -> bool:
        """Whether a stale inspection differs from its record in nothing but the targets."""
        record = self.records.get(self.names.portable(str(job.output[0])))
        if record is None or job not in self.stale:
            return False
        now = self._now(job)
        return not differences(with_inspected_targets(record, now), now, names=self.names)

    def _renew(self, dag: Any, judged_by_date: set[str]) -> None:
        """Let outputs that are up to date look new, but those that Snakemake compares by date."""
        from snakemake_interface_storage_plugins.io import Mtime

        now = Mtime(local=time.time())
        known = dag.workflow.iocache.mtime
        for job in self.matched:
            for path in (*job.output, *([job.benchmark] if job.benchmark else [])):
                if str(path) not in judged_by_date and os.path.lexists(path):
                    known[path] = now

    def _tell(self) -> None:
        """Say what is out of date and why, once."""
        lines = [f"{job.output[0]}: {phrase(found)}" for job, found in self.stale.items()]
        lines = [line for line in lines if line not in self._told]
        self._told.update(lines)
        if lines:
            more = [f"… and {len(lines) - MOST_NAMED} more"] if len(lines) > MOST_NAMED else []
            logger.warning("\n  ".join(["out of date, will be recomputed:", *lines[:MOST_NAMED], *more]))
        alone = [
            f"{analysis}: only {', '.join(targets)} attributed; its other targets are up to date"
            for analysis, targets in self.targets.attributed.items()
        ]
        for line in [line for line in alone if line not in self._told]:
            logger.info(line)
        self._told.update(alone)
        others = sorted(set(self._others()) - self._told)
        self._told.update(others)
        if others:
            text = "\n  ".join(["results of other configs in the same folder no longer fit:", *others])
            logger.warning(f"{text}\nUse a separate results folder for each config that redefines something.")

    def _others(self) -> Iterator[str]:
        """Analyses that this config does not have, made from files that it makes differently."""
        made_again, told = self._made_again(), set()
        for record in self.records:
            analysis = record.name.split("/")[1]
            if analysis in self._analyses or analysis in told or not record.name.endswith(ATTRIBUTIONS):
                continue
            if not os.path.exists(self.names.local(record.name)):
                continue
            for name, digest in record.inputs.items():
                if name in made_again or self._differs(name, digest):
                    told.add(analysis)
                    made, source = self.names.local(record.name), self.names.local(name)
                    yield f"{made} was made from a different {source}: rows do not match"
                    break

    def _made_again(self) -> set[str]:
        """Outputs of stale jobs, and what follows from them among the files of region sets."""
        found = {self.names.portable(str(path)) for job in self.stale for path in job.output}
        following = [record for record in self.records if record.name.startswith("{results}/regions/")]
        while reached := [record for record in following if not found.isdisjoint(record.inputs)]:
            found.update(name for record in reached for name in record.outputs)
            following = [record for record in following if record not in reached]
        return found

    def _differs(self, name: str, digest: str | None) -> bool:
        if not name.startswith("{results}/regions/"):
            return False
        now = self.digests.of(self.names.local(name))
        return None not in (now, digest) and now != digest


def passes_on(name: str) -> bool:
    """Whether an input of this portable name only passes on what its readers depend on by themselves."""
    return name.startswith("{results}/") and any(part in name for part in PASSING_INPUTS)


def missing_parts(workflow: Any) -> list[str]:
    """What is used of Snakemake and is not there."""
    owners = {"workflow": workflow} | {
        name: getattr(workflow, name, None) for name in EXPECTED if name != "workflow"
    }
    return [
        f"{owner}.{name}"
        for owner, names in EXPECTED.items()
        for name in names
        if not hasattr(owners[owner], name)
    ]


def install(workflow: Any, results: str, project: Path, analyses: Iterable[str]) -> Watch:
    """Watch the jobs of a results folder; return what watches."""
    watch = Watch(results, project, analyses)
    watch.install(workflow)
    return watch
