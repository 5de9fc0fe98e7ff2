"""Which targets a run attributes, on plans of a few jobs."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cislex_workflow.reruns import target_plan, watch
from cislex_workflow.reruns.freshness import Record
from cislex_workflow.reruns.target_plan import TargetPlan, with_inspected_targets, with_targets

ROOT = Path(__file__).resolve().parents[3]

TARGETS = {"a": {"index": 0}, "b": {"index": 1}}


class Output(str):
    """An output as Snakemake gives it."""

    flags: dict[str, bool]


class Job:
    """A job as far as it is looked at."""

    def __init__(self, rule: str, name: str, *, temp: bool = False, **wildcards: str) -> None:
        self.rule = type("Rule", (), {"name": f"imported_{rule}"})()
        output = Output(name)
        output.flags = {"temp": temp}
        self.output = [output]
        self.wildcards = type("Wildcards", (), wildcards)()
        self.input: list[str] = []
        self.params: dict[str, Any] = {}
        self.benchmark = None
        self._params: Any = "of before"
        self._non_derived_params: Any = "of before"


class Plan:
    """An analysis of two targets and two folds, as Snakemake plans it."""

    def __init__(self, *, temp: bool = True) -> None:
        self.dependencies: Any = defaultdict(lambda: defaultdict(set))
        self.depending: Any = defaultdict(lambda: defaultdict(set))
        self.forcerules: set[Any] = set()
        self.forcefiles: set[str] = set()
        self.running: set[Job] = set()
        self.workflow: Any = None
        self.inspect = Job("inspect_model", "inspected.json", analysis="shap")
        self.chunks = [Job("attribute_chunk", f"{i}.h5", temp=temp, analysis="shap") for i in range(2)]
        self.joins = {t: Job("aggregate_chunks", f"{t}.all.h5", analysis="shap", target=t) for t in "ab"}
        self.all = Job("all", "report")
        self.targetjobs = {self.all}
        self.need(self.inspect)
        for join in self.joins.values():
            self.need(join, self.inspect, *self.chunks)
        for chunk in self.chunks:
            self.need(chunk, self.inspect)
        self.need(self.all, *self.joins.values())

    def need(self, job: Job, *others: Job) -> None:
        self.dependencies[job]
        for other in others:
            self.dependencies[job][other].add(str(other.output[0]))
            self.depending[other][job].add(str(other.output[0]))

    @property
    def jobs(self) -> Any:
        return self.dependencies.keys()

    def needrun(self, job: Job) -> bool:
        return job in self.running

    def bfs(self, direction: Any, *jobs: Job) -> Iterator[Job]:
        queue, seen = list(jobs), set(jobs)
        for job in queue:
            yield job
            queue += [other for other in direction[job] if other not in seen]
            seen.update(direction[job])

    def edges(self) -> dict[Any, Any]:
        there = {job: {other: set(f) for other, f in d.items()} for job, d in self.dependencies.items()}
        back = {job: {other: set(f) for other, f in d.items()} for job, d in self.depending.items() if d}
        return {"there": there, "back": back}


def thin(
    plan: Plan, targets: TargetPlan, matched: set[Job], *, harmless: bool = True, **options: Any
) -> None:
    targets.thin(
        plan, list(plan.jobs), matched=matched.__contains__, harmless=lambda job: harmless,
        **{"wanted": (), **options},
    )  # fmt: skip


def test_a_target_that_is_up_to_date_asks_for_no_chunk_and_jobs_attribute_the_others() -> None:
    plan, targets = Plan(), TargetPlan("results")
    before = copy.copy(plan.edges())
    thin(plan, targets, {plan.joins["a"]})
    assert targets.choose("shap", TARGETS) == {"b": TARGETS["b"]}
    assert targets.choose("other", TARGETS) == TARGETS
    assert not plan.dependencies[plan.joins["a"]]
    assert set(plan.dependencies[plan.joins["b"]]) == {plan.inspect, *plan.chunks}
    assert set(plan.depending[plan.chunks[0]]) == {plan.joins["b"]}
    assert plan.chunks[0]._params is None, "evaluated for all targets before"
    plan.running = {plan.joins["b"], *plan.chunks}
    assert not targets.overruled(plan)
    plan.running.add(plan.joins["a"])
    assert targets.overruled(plan) == {plan.joins["a"]}
    targets.restore()
    assert plan.edges() == before
    assert targets.choose("shap", TARGETS) == TARGETS


def test_without_a_target_to_attribute_chunks_and_inspection_leave_the_plan_and_come_back() -> None:
    plan, targets = Plan(), TargetPlan("results")
    before = plan.edges()
    thin(plan, targets, set(plan.joins.values()))
    assert set(plan.jobs) == {plan.all, *plan.joins.values()}
    targets.restore()
    assert plan.edges() == before


def chunk_rule_forced(plan: Plan) -> None:
    plan.forcerules.add(plan.chunks[0].rule)


def inspection_forced(plan: Plan) -> None:
    plan.forcerules.add(plan.inspect.rule)


def join_forced(plan: Plan) -> None:
    plan.forcefiles.add("a.all.h5")


def chunk_asked_for(plan: Plan) -> None:
    plan.targetjobs.add(plan.chunks[1])


def chunk_read_by_others(plan: Plan) -> None:
    plan.need(plan.all, plan.chunks[0])


@pytest.mark.parametrize(
    "change", [chunk_rule_forced, inspection_forced, join_forced, chunk_asked_for, chunk_read_by_others]
)
def test_what_is_asked_for_by_command_or_read_by_others_is_of_all_targets(
    change: Callable[[Plan], None],
) -> None:
    plan, targets = Plan(), TargetPlan("results")
    change(plan)
    before = plan.edges()
    thin(plan, targets, {plan.joins["a"]})
    assert plan.edges() == before
    assert targets.choose("shap", TARGETS) == TARGETS


def test_an_inspection_that_differs_in_more_than_targets_or_a_join_that_runs_leaves_nothing_out() -> None:
    plan, targets = Plan(), TargetPlan("results")
    before = plan.edges()
    thin(plan, targets, {plan.joins["a"]}, harmless=False)
    assert plan.edges() == before
    thin(plan, targets, {plan.joins["a"]}, wanted={plan.joins["a"]})
    assert plan.edges() == before
    thin(plan, targets, {*plan.joins.values(), plan.inspect})
    assert plan.edges() == before, "nothing is to be done in any case"


def test_a_chunk_that_was_interrupted_is_of_the_targets_that_ask_for_it() -> None:
    plan, targets = Plan(), TargetPlan("results")
    plan.forcefiles.add("0.h5")  # Snakemake's own, not the user's
    thin(plan, targets, {plan.joins["a"]})
    assert targets.choose("shap", TARGETS) == {"b": TARGETS["b"]}


def test_chunk_files_that_stay_hold_every_target_and_up_to_date_targets_are_left_alone() -> None:
    plan, targets = Plan(temp=False), TargetPlan("results")
    thin(plan, targets, {plan.joins["a"]})
    assert targets.choose("shap", TARGETS) == TARGETS
    assert not plan.dependencies[plan.joins["a"]]


def test_single_jobs_are_told_and_without_it_attribute_every_target(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, targets, other = Plan(), TargetPlan("results"), TargetPlan("elsewhere")
    thin(plan, targets, {plan.joins["a"]})
    monkeypatch.setenv(targets._variable, "removed when the test ends")
    targets.tell()

    def in_a_job(results: str = "results") -> dict[str, Any]:
        job = TargetPlan(results)
        job.read()
        return job.choose("shap", TARGETS)

    assert in_a_job() == {"b": TARGETS["b"]}
    assert in_a_job("elsewhere") == TARGETS
    other.tell()  # of another results folder in the same process
    assert in_a_job() == {"b": TARGETS["b"]}
    targets.restore()
    targets.tell()
    assert in_a_job() == TARGETS
    monkeypatch.setenv(targets._variable, '{"shap": ["not in the config"]}')
    assert in_a_job() == TARGETS
    monkeypatch.setenv(targets._variable, "{")
    assert in_a_job() == TARGETS


def test_more_than_the_environment_takes_is_of_all_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_plan, "MOST_CHARACTERS", 10)
    plan, targets = Plan(), TargetPlan("results")
    before = plan.edges()
    thin(plan, targets, {plan.joins["a"]})
    assert plan.edges() == before
    assert targets.choose("shap", TARGETS) == TARGETS


def record(targets: dict[str, Any], key: str = "job", **more: Any) -> Record:
    name = {"job": "targets", "options": "wanted"}[key]
    return Record({"code": "1", key: {"seed": 0, name: targets, **more}}, {}, {"{results}/x": None})


def test_a_chunk_of_more_targets_serves_and_one_of_fewer_or_other_targets_does_not() -> None:
    both, b = record(TARGETS), record({"b": TARGETS["b"]})
    assert with_targets(both, b) == b
    turned = record(dict(reversed(TARGETS.items())))
    assert list(with_targets(turned, both).params["job"]["targets"]) == ["a", "b"]
    assert with_targets(b, both) == b != both
    assert with_targets(both, record({"b": {"index": 5}})) != record({"b": {"index": 5}})
    assert with_targets(record(TARGETS, seed=1), b) != b
    other = Record({"code": "1"}, {}, {"{results}/x": None})
    assert with_targets(other, other) is other


def test_an_inspection_is_compared_but_for_its_targets() -> None:
    old, new = record({"a": TARGETS["a"]}, "options"), record(TARGETS, "options")
    assert with_inspected_targets(old, new) == new
    assert with_inspected_targets(record(TARGETS, "options", length=9), new) != new
    old.params["automatic"] = new.params["automatic"] = {"most": 20}
    assert with_inspected_targets(old, new) != new, "the number of references may be another one"


def test_a_kept_chunk_is_compared_where_it_is_asked_for_by_name(tmp_path: Path) -> None:
    """Where nothing needs it, it stays as it is, whatever it was made from."""
    folder = tmp_path / "shap" / "chunks"
    folder.mkdir(parents=True)
    plan = Plan()
    plan.dependencies.clear()
    judge = watch.Watch(str(tmp_path), ROOT, [])
    chunks = [Job("attribute_chunk", str(folder / f"{i}.h5"), analysis="shap") for i in range(2)]
    for chunk in chunks:
        Path(chunk.output[0]).write_bytes(b"x")
        plan.need(chunk)
        old = record(TARGETS, seed=1)
        judge.records.add(Record(old.params, {}, {judge.names.portable(str(chunk.output[0])): None}))
        chunk.params = record(TARGETS, seed=2).params
    plan.targetjobs = {chunks[0]}
    plan.workflow = SimpleNamespace(iocache=SimpleNamespace(mtime={}))
    judge._judge(plan, set())
    assert set(judge.stale) == {chunks[0]}
    assert judge.matched == {chunks[1]}
