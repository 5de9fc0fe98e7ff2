"""A check of finished results is told by the command line, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from cislex_workflow.checks.asked import asked_for, is_check


@pytest.mark.parametrize(
    "arguments",
    [
        ["--cores", "2", "--configfile", "my.yaml", "--forcerun", "verify_results", "--", "check"],
        ["--configfile", "my.yaml", "--cores", "2", "results/verification.tsv"],
        ["verify_results", "check", "--cores", "1", "--config", "results=results"],
        ["--target-jobs", "verify_results:", "--cores", "all"],
    ],
)
def test_a_check_alone_is_one(arguments: list[str]) -> None:
    assert is_check(arguments, "results")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--cores", "2"],
        ["--cores", "2", "--configfile", "check"],
        ["--cores", "2", "check", "all"],
        ["--cores", "2", "results/report.html"],
        ["--target-jobs", "find_motifs:analysis=a,target=check", "--cores", "all"],
        ["--forcerun", "verify_results", "--cores", "2"],
        ["checked", "--no-such-option", "--cores"],
    ],
)
def test_other_runs_are_none(arguments: list[str]) -> None:
    assert not is_check(arguments, "results")


def test_targets_and_rules_of_jobs_are_found() -> None:
    assert asked_for(["--cores", "2", "all", "a.tsv"]) == {"all", "a.tsv"}
