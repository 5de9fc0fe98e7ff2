"""Which targets of an analysis a run attributes: those whose attributions are up to date are left out.

One job attributes a chunk for all targets, and its file is temporary. So a new target would attribute all of
them, and a removed one the rest, since both inspect the model anew. Here what is up to date is taken off the
plan: its jobs no longer ask for chunks, chunks that nothing asks for are no longer in the plan, and jobs
that remain attribute the targets that ask. The processes of single jobs are told by an environment variable;
where it gets lost they attribute every target, and so never less than the plan wants.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from cislex_workflow.reruns.freshness import Record

#: Ends of the names of the rules: a workflow that imports this one may put something before them.
ATTRIBUTES, JOINS, INSPECTS = "attribute_chunk", "aggregate_chunks", "inspect_model"
#: Characters that a variable may have; where more are needed, further analyses attribute every target.
MOST_CHARACTERS = 60_000


class TargetPlan:
    """The targets that the runs of one results folder attribute.

    Parameters
    ----------
    results
        The results folder as the config spells it.
    """

    def __init__(self, results: str) -> None:
        digest = hashlib.blake2b(results.encode(), digest_size=8).hexdigest()
        self._variable = f"CISLEX_TARGETS_{digest}"
        #: For analyses that do not attribute every target, those that they do.
        self.attributed: dict[str, list[str]] = {}
        self._thinned: Thinned | None = None
        self._left: set[Any] = set()

    def choose(self, analysis: str, targets: Mapping[str, Any]) -> dict[str, Any]:
        """The targets that the jobs of an analysis attribute, of all that the config has."""
        chosen = self.attributed.get(analysis)
        if chosen is None or not targets.keys() >= set(chosen):
            return dict(targets)
        return {name: value for name, value in targets.items() if name in chosen}

    def read(self) -> None:
        """Do as the main process has planned; in the process of a single job."""
        with suppress(ValueError, KeyError, TypeError):
            self.attributed = dict(json.loads(os.environ[self._variable]))

    def tell(self) -> None:
        """Tell the processes of single jobs, which inherit the environment, also through SLURM."""
        os.environ.pop(self._variable, None)
        if self.attributed:
            os.environ[self._variable] = json.dumps(self.attributed)

    def thin(
        self,
        dag: Any,
        jobs: Iterable[Any],
        *,
        matched: Callable[[Any], bool],
        harmless: Callable[[Any], bool],
        wanted: Iterable[Any],
    ) -> None:
        """Take off the plan what would be attributed although it is up to date.

        Parameters
        ----------
        dag
            Snakemake's plan, whose edges are taken out (``restore``).
        jobs
            Jobs of this results folder.
        matched
            Whether a job's outputs are what they would be made as now.
        harmless
            Whether a job is made again for another choice of targets alone.
        wanted
            Jobs that join chunks and run whatever this comparison says.
        """
        self.restore()
        self._thinned = thinned = Thinned(dag)
        kept = set(wanted)
        analyses: dict[str, list[Any]] = {}
        for job in jobs:
            if is_of(job, JOINS):
                analyses.setdefault(job.wildcards.analysis, []).append(job)
            elif is_of(job, ATTRIBUTES):
                job._params = job._non_derived_params = None  # evaluated for every target
        for analysis, joins in analyses.items():
            current = [job for job in joins if matched(job) and job not in kept and not is_forced(dag, job)]
            if current and self._may_differ(dag, joins, current, matched, harmless):
                self._leave_out(thinned, analysis, joins, current)
        if self._left:
            thinned.drop_unneeded()

    def _may_differ(
        self,
        dag: Any,
        joins: list[Any],
        current: list[Any],
        matched: Callable[[Any], bool],
        harmless: Callable[[Any], bool],
    ) -> bool:
        """Whether leaving out the current targets changes the plan, and nothing but targets is behind it."""
        own = set(joins)
        needed = {other for job in joins for other in dag.dependencies[job]}
        chunks = {job for job in needed if is_of(job, ATTRIBUTES)}
        inspections = {job for job in needed if is_of(job, INSPECTS)}
        if len(current) == len(joins) and all(map(matched, inspections)):
            return False
        if not all(matched(job) or harmless(job) for job in inspections):
            return False
        if any(is_asked_for(dag, job) for job in inspections) or any(
            job in dag.targetjobs or is_asked_for(dag, job) for job in chunks
        ):
            return False
        return all(own.issuperset(dag.depending[job]) for job in chunks)

    def _leave_out(self, thinned: Thinned, analysis: str, joins: list[Any], current: list[Any]) -> None:
        dag = thinned.dag
        chunks = [job for job in dag.dependencies[joins[0]] if is_of(job, ATTRIBUTES)]
        # Chunk files that stay hold every target.
        if all(path.flags.get("temp") for job in chunks for path in job.output):
            others = [job.wildcards.target for job in joins if job not in current]
            told = {**self.attributed, analysis: others}
            if len(json.dumps(told)) > MOST_CHARACTERS:
                return
            if others:
                self.attributed = told
        for job in current:
            self._left.add(job)
            for other in [*dag.dependencies[job]]:
                if is_of(other, ATTRIBUTES, INSPECTS):
                    thinned.cut(job, other)

    def overruled(self, dag: Any) -> set[Any]:
        """Jobs that were to be left out and that Snakemake runs all the same."""
        return {job for job in self._left if dag.needrun(job)}

    def restore(self) -> None:
        """Put back what was taken off the plan."""
        if self._thinned is not None:
            self._thinned.restore()
        self.attributed, self._left, self._thinned = {}, set(), None


class Thinned:
    """A plan of Snakemake without some of its jobs and edges.

    Parameters
    ----------
    dag
        The plan.
    """

    def __init__(self, dag: Any) -> None:
        self.dag = dag
        self._edges: list[tuple[Any, Any, Any, Any]] = []
        self._jobs: list[Any] = []

    def cut(self, job: Any, other: Any) -> None:
        """Let a job no longer wait for another one."""
        files, again = self.dag.dependencies[job].pop(other), self.dag.depending[other].pop(job, None)
        self._edges.append((job, other, files, again))

    def drop_unneeded(self) -> None:
        """Take out the jobs that no target needs any more."""
        needed = set(self.dag.bfs(self.dag.dependencies, *self.dag.targetjobs))
        for job in [job for job in self.dag.jobs if job not in needed]:
            for other in [*self.dag.dependencies[job]]:
                self.cut(job, other)
            del self.dag.dependencies[job]
            self._jobs.append(job)

    def restore(self) -> None:
        """Put everything back."""
        for job in self._jobs:
            self.dag.dependencies[job] = self.dag.dependencies.default_factory()
        for job, other, files, again in self._edges:
            self.dag.dependencies[job][other] = files
            if again is not None:
                self.dag.depending[other][job] = again
        self._jobs, self._edges = [], []


def is_of(job: Any, *rules: str) -> bool:
    """Whether a job is of one of these rules."""
    return bool(job.rule.name.endswith(rules))


def is_forced(dag: Any, job: Any) -> bool:
    """Whether a job runs by command, or since it was interrupted."""
    return job.rule in dag.forcerules or not dag.forcefiles.isdisjoint(job.output)


def is_asked_for(dag: Any, job: Any) -> bool:
    """Whether a job runs by command: files that were interrupted, too, are forced."""
    return job.rule in dag.forcerules or (job in dag.targetjobs and is_forced(dag, job))


def with_targets(record: Record, now: Record) -> Record:
    """The record of a chunk, of those of its targets that are attributed now; any other record as it is."""
    job, chosen = record.params.get("job", {}), now.params.get("job", {}).get("targets", {})
    targets = job.get("targets", {})
    if not chosen or not targets.keys() >= chosen.keys():
        return record
    fewer = {**job, "targets": {name: targets[name] for name in chosen}}
    return replace(record, params={**record.params, "job": fewer})


def with_inspected_targets(record: Record, now: Record) -> Record:
    """The record of an inspection, as if it had been of the targets of now.

    As it is where the inspection chooses the number of references: that depends on every target.
    """
    if now.params.get("automatic"):
        return record
    options = {**record.params.get("options", {}), "wanted": now.params["options"]["wanted"]}
    return replace(record, params={**record.params, "options": options})
