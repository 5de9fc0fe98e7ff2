"""Lines of a run on the terminal: what finished, what runs, what is left, how it ended."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cislex_workflow.terminal import closing, lines
from cislex_workflow.terminal.under_way import Job, UnderWay, duration, told
from snakemake.logging import ColorizingTextHandler, DefaultFormatter
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def terminal(clock: Clock) -> Iterator[SimpleNamespace]:
    """A logger as Snakemake's, with our lines on its terminal."""
    logger = logging.getLogger("test of the terminal")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    stream = io.StringIO()
    handler = ColorizingTextHandler(stream=stream)
    handler.name = lines.HANDLER
    handler.setFormatter(DefaultFormatter())
    logger.addHandler(handler)
    under_way = UnderWay(clock)
    lines.install(logger, under_way)
    yield SimpleNamespace(logger=logger, text=stream.getvalue, under_way=under_way, handler=handler)
    logger.removeHandler(handler)


def begin(terminal: SimpleNamespace, number: int, rule: str, message: str | None, log: str = "") -> None:
    extra = {"event": LogEvent.JOB_INFO, "jobid": number, "rule_name": rule, "rule_msg": message}
    terminal.logger.info(f" Rule: {rule}", extra={**extra, "log": [log] if log else []})


def end(terminal: SimpleNamespace, number: int, done: int, total: int) -> None:
    terminal.logger.info("Finished jobid", extra={"event": LogEvent.JOB_FINISHED, "job_id": number})
    terminal.logger.info(None, extra={"event": LogEvent.PROGRESS, "done": done, "total": total})


def test_a_finished_job_is_one_line(terminal: SimpleNamespace, clock: Clock) -> None:
    terminal.logger.info("Select jobs to execute...")
    begin(terminal, 3, "attribute_chunk", "Attribution: a / fold_0, chunk 2")
    terminal.logger.info("Execute 1 jobs...", extra={"event": LogEvent.JOB_STARTED, "jobs": [3]})
    clock.now = 75
    end(terminal, 3, 7, 120)
    (line,) = terminal.text().splitlines()
    assert line[8:] == "    7 of 120  Attribution: a / fold_0, chunk 2, 75 s"


def test_the_rule_that_asks_for_all_files_is_no_line(terminal: SimpleNamespace) -> None:
    begin(terminal, 0, "all", None)
    end(terminal, 0, 120, 120)
    assert terminal.text() == ""


def test_notices_warnings_and_errors_are_shown(terminal: SimpleNamespace) -> None:
    terminal.logger.info("Nothing to be done (all requested files are present and up to date).")
    terminal.logger.info("Job 3 has been submitted with SLURM jobid 12 (log: x).")
    terminal.logger.warning("Select jobs to execute: a warning that begins like a notice")
    terminal.logger.error("The node failed", extra={"event": LogEvent.ERROR, "exception": "WorkflowError"})
    script = 'RuleException:\nCalledProcessError in file "x.smk", line 3'
    terminal.logger.error(script, extra={"event": LogEvent.ERROR, "exception": "RuleException"})
    assert [line.split()[0] for line in terminal.text().splitlines()] == ["Nothing", "Select", "The"]


def test_a_failed_job_shows_the_end_of_its_log(
    terminal: SimpleNamespace, tmp_path: Path, clock: Clock
) -> None:
    log = tmp_path / "job.log"
    log.write_text(
        "".join(f"line {i}\n" for i in range(50)) + "InputError: peaks.bed line 3: end 5 < start 9\n"
    )
    for number in (1, 2):
        begin(terminal, number, "extract_regions", f"Extract regions: {number}", str(log))
        error = {
            "event": LogEvent.JOB_ERROR,
            "jobid": number,
            "rule_name": "extract_regions",
            "rule_msg": None,
        }
        aux = {"external_jobid": "812"}
        terminal.logger.error("Error in rule", extra={**error, "log": [str(log)], "aux": aux})
    found = terminal.text().splitlines()[: len(terminal.text().splitlines()) // 2]
    assert found[0][8:] == "  FAILED  Extract regions: 1"
    assert found[1] == f"    log: {log}"
    assert found[2] == "    | … 21 lines above"
    assert found[-2] == "    | InputError: peaks.bed line 3: end 5 < start 9"
    assert found[-1] == "    external_jobid: 812"
    assert closing.failed(terminal.under_way, ["snakemake", "--configfile", "my file.yaml"]) == [
        "Failed: Extract regions: 1: InputError: peaks.bed line 3: end 5 < start 9",
        f"  log: {log}",
        "  and 1 more: Extract regions: 2",
        "What is finished is kept. When it is mended, go on with: snakemake --configfile 'my file.yaml'",
    ]


def test_a_job_that_succeeds_when_repeated_has_not_failed(terminal: SimpleNamespace) -> None:
    begin(terminal, 1, "extract_regions", "Extract regions")
    terminal.under_way.fail(1)
    begin(terminal, 1, "extract_regions", "Extract regions")
    end(terminal, 1, 1, 2)
    assert not terminal.under_way.failed


def test_silence_is_broken_by_what_is_running(
    terminal: SimpleNamespace, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "job.log"
    log.write_text("2026 INFO cislex.progress: a: 10 of 90 regions, 2.0/s, 40 s left\nother\n")
    begin(terminal, 1, "attribute_chunk", "Attribution: a, chunk 1", str(log))
    begin(terminal, 2, "find_motifs", "TF-MoDISco: a")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) > 3:
            raise SystemExit
        clock.now += seconds

    monkeypatch.setattr(lines.time, "sleep", sleep)
    with pytest.raises(SystemExit):
        lines._tell(terminal.logger, lines._ours(terminal.handler))  # type: ignore[arg-type]
    assert slept[:3] == [15, 60, 60]
    first, second, _ = terminal.text().splitlines()
    far = "Attribution: a, chunk 1 (a: 10 of 90 regions, 2.0/s, 40 s left)"
    assert first[8:] == f"  running: {far}; TF-MoDISco: a (15 s)"
    assert second.endswith("TF-MoDISco: a (75 s)")
    begin(terminal, 3, "find_motifs", "TF-MoDISco: b")
    begin(terminal, 4, "find_motifs", "TF-MoDISco: c")
    assert terminal.under_way.status() == "find_motifs × 3, attribute_chunk"


def test_progress_is_read_from_the_end_of_a_long_log(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    log.write_text("cislex.progress: 1 of 9\n" + "x" * 20_000 + "\n")
    assert told(log) is None
    log.write_text("x" * 20_000 + "\ncislex.progress: 1 of 9\ncislex.progress: 2 of 9\n")
    assert told(log) == "2 of 9"
    assert told(tmp_path / "none") is None


def test_time_left_follows_jobs_of_the_same_rule_and_requests(clock: Clock) -> None:
    under_way = UnderWay(clock)
    under_way.plan({"chunk": 10, "motifs": 2}, {"chunk": 10, "motifs": 30})
    for number in range(4):  # two at once, 60 s each: a tenth of the request
        under_way.start(number, Job("chunk", "c", None, clock()))
        if number % 2:
            assert number == 3 or under_way.seconds_left() is None
            clock.now += 60
            under_way.finish(number - 1)
            under_way.finish(number)
    # 6 chunks of 60 s and 2 motifs of 180 s, two at once
    assert under_way.seconds_left() == pytest.approx((6 * 60 + 2 * 180) / 2)
    under_way.start(9, Job("chunk", "c", None, clock()))
    clock.now += 20
    together = (4 * 60 + 20) / 140
    assert under_way.seconds_left() == pytest.approx((5 * 60 + 40 + 2 * 180) / together)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (89, "89 s"), (100, "2 min"), (5300, "88 min"), (7500, "2 h 5 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


SETTINGS: dict[str, Any] = {
    "dryrun": False, "quiet": None, "verbose": False, "printshellcmds": False, "debug_dag": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "ours"),
    [
        ({}, True),
        ({"quiet": {Quietness.HOST}}, True),
        ({"quiet": {Quietness.PROGRESS}}, False),
        ({"dryrun": True}, False),
        ({"verbose": True}, False),
        ({"printshellcmds": True}, False),
    ],
)
def test_the_users_wishes_come_first(changed: dict[str, Any], ours: bool) -> None:
    settings = SimpleNamespace(**{**SETTINGS, **changed})
    workflow = SimpleNamespace(output_settings=settings, is_main_process=True)
    assert lines.wanted(workflow, is_main=True) is ours
    assert not lines.wanted(workflow, is_main=False)
    assert not lines.wanted(SimpleNamespace(output_settings=settings, is_main_process=False), is_main=True)


def table(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(row.replace(" ", "\t") + "\n" for row in rows))


def test_a_run_ends_with_a_line_per_target(tmp_path: Path, clock: Clock) -> None:
    results = tmp_path / "out"
    table(results / "regions" / "peaks" / "regions.summary.tsv", "rows dropped digest", "1200 3 x")
    dropped = ("source_line reason", "1 blacklist", "2 edge", "3 blacklist")
    table(results / "regions" / "peaks" / "dropped.tsv", *dropped)
    status = ("name max_relative_delta status", "a 1e-4 pass", "b 2e-2 dropped", "c 3e-5 pass")
    table(results / "shap" / "counts" / "qc.tsv", *status)
    table(results / "ism" / "profile" / "qc.tsv", "name max_relative_delta status", "a  pass")
    usage = ("word name analysis target n_seqlets", "pos_0 GATA1 shap counts 40", "pos_1 TAL1 shap counts 90")
    table(results / "lexicon" / "usage.tsv", *usage, "pos_1 TAL1 ism profile 0")
    config = {
        "results": "out",
        "regions": {"peaks": {}},
        "analyses": {"shap": {"targets": {"counts": {}}}, "ism": {"targets": {"profile": {}, "later": {}}}},
    }
    under_way = UnderWay(clock)
    clock.now = 3700
    assert closing.succeeded(config, tmp_path, under_way, ["out/report.html", "out/config.yaml"]) == [
        "Regions peaks: 1,200; dropped: 2 blacklist, 1 edge",
        "  shap / counts  3 regions, 1 of them not passed by the gate, largest relative delta 2.0e-02; "
        "2 words: TAL1, GATA1",
        "  ism / profile  1 region; no words",
        "Report: out/report.html",
        "Finished in 62 min.",
    ]
    table(
        results / "shap" / "counts" / "qc.tsv", "name max_relative_delta status", "a 1e-4 pass", "b 3e-5 pass"
    )
    later = closing.succeeded(config, tmp_path, under_way, ["out/report.html"])
    assert "2 regions, largest relative delta at most 1.0e-04;" in later[1]
    made = closing.succeeded({**config, "regions": {}}, tmp_path, under_way, ["a", "b", "c", "d"])
    assert made[-2] == "Made: a, b, c and 1 more"
