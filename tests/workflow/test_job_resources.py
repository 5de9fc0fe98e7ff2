"""What jobs ask for follows their work, grows with the attempt, and is held against what they used."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest
from cislex_workflow import job_resources, job_usage
from cislex_workflow.checks import budget
from cislex_workflow.expected_use import work as used

ROOT = Path(__file__).resolve().parents[2]


def config(folder: Path, *, chunks: int = 4, **regions: Any) -> dict[str, Any]:
    """A resolved config, as far as allocation reads it."""
    peaks = {"peaks": str(folder / "peaks.bed"), "fasta": None, "hdf5": None, "length": None}
    return {
        "results": str(folder / "results"),
        "genome": {"fasta": str(folder / "genome.fa")},
        "regions": {"set": {**peaks, "top": None, "sample": None, "chunks": chunks, **regions}},
        "models": {
            "net": {
                "input_length": 1000,
                "folds": {"f0": str(folder / "w.pt"), "f1": str(folder / "w.pt")},
                "training": {
                    "architecture": "cnn",
                    "epochs": 10,
                    "tasks": {"t": str(folder / "peaks.bed")},
                    "signal": None,
                },
            }
        },
        "analyses": {
            "first": {
                "regions": "set",
                "model": "net",
                "targets": {"t": {}},
                "device": "cpu",
                "method": {"references": {"n": 20}},
                "motifs": {"max_seqlets": 20000, "window": None},
            }
        },
        "variants": {
            "calls": {
                "vcf": str(folder / "peaks.bed"),
                "table": None,
                "analysis": "first",
                "chunks": chunks,
                "null": 100,
                "shifts": [0],
                "top": {"n": 20, "flank": 40},
            }
        },
        "insertions": {
            "pairs": {
                "analysis": "first",
                "words": "all",
                "motifs": {"ap1": "TGACTCA"},
                "meme": None,
                "pairs": "all",
                "spacings": {"from": 10, "to": 70, "step": 3},
                "orientations": ["++", "+-", "-+", "--"],
                "backgrounds": {"kind": "genomic", "n": 100},
                "sites": None,
                "chunks": chunks,
            }
        },
        "comparisons": {
            "all": {
                "analyses": ["first"],
                "uncorrected": ["first"],
                "top": [10],
                "faithfulness": {"n": 9, "steps": 5, "draws": 2, "stability": True, "randomised": True},
            }
        },
        "contrasts": {"both": {"first": {"analysis": "first"}, "second": {"analysis": "first"}}},
        "evolution": {
            "rise": {
                "analysis": "first",
                "guide": {"name": "integrated_gradients", "steps": 20, "references": None},
                "start": {"kind": "regions", "n": 10, "rows": None},
                "rounds": 20,
                "beam": 2,
            }
        },
    }


NAMES = {
    "regions": "set", "model": "net", "fold": "f0", "analysis": "first", "target": "t", "chunk": "0",
    "file": "x", "database": "d", "variants": "calls", "insertion": "pairs", "evolution": "rise",
    "comparison": "all", "contrast": "both", "source": "first.uncorrected",
}  # fmt: skip


def wildcards(rule: str) -> dict[str, str]:
    return {name: NAMES[name] for name in job_resources.RULES[rule][0]}


def write_peaks(folder: Path, n: int) -> None:
    (folder / "peaks.bed").write_text("".join(f"chr1\t{i:07d}\t{i + 9:07d}\n" for i in range(n)))


def write_inspection(
    folder: Path, seconds: float = 0.5, startup: float = 12.0, memory: float = 2500.0
) -> None:
    path = folder / "results" / "first" / "inspection.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [("f0", "seconds_per_region", seconds), ("f1", "seconds_per_region", seconds / 2),
            ("f0", "startup_seconds", startup), ("f0", "host_memory_mb", memory)]  # fmt: skip
    lines = [f"{fold}\tcost\t{name}\t{value}\t" for fold, name, value in rows]
    path.write_text("\n".join(["fold\tsection\tname\tvalue\tdetail", *lines]) + "\n")


def rules_with(word: str) -> set[str]:
    """Rules of the workflow whose text has a word."""
    found = set()
    for path in (ROOT / "workflow" / "rules").rglob("*.smk"):
        for text in re.split(r"^\s*rule ", path.read_text(), flags=re.M)[1:]:
            if re.search(rf"^\s+{word}:", text, re.M):
                found.add(text.split(":")[0])
    return found


def test_every_rule_with_a_benchmark_asks_for_what_it_needs() -> None:
    measured = rules_with("benchmark")
    assert len(measured) > 15
    assert measured <= set(job_resources.RULES)
    assert measured <= rules_with("resources")


def test_requests_of_rules_are_these_functions() -> None:
    for path in (ROOT / "workflow" / "rules").rglob("*.smk"):
        for text in re.split(r"^\s*rule ", path.read_text(), flags=re.M)[1:]:
            name = text.split(":")[0]
            for key, function in (("mem_mb", "memory_of"), ("runtime", "runtime_of")):
                if f"{key}=" in text:
                    assert f'{key}={function}("{name}")' in text, name


def test_every_rule_asks_before_any_file_exists(tmp_path: Path) -> None:
    work = used.Work(config(tmp_path))
    for rule in job_resources.RULES:
        asked = job_resources.ask(work, rule, wildcards(rule))
        assert asked.mem_mb >= job_resources.LEAST_MB
        assert asked.runtime >= job_resources.LEAST_MINUTES


@pytest.mark.parametrize(
    "rule", ["extract_regions", "encode_sequences", "train_model", "attribute_chunk", "aggregate_chunks",
             "predict_regions", "find_motifs", "call_hits", "export_tracks", "export_browser",
             "export_layouts", "prepare_variants",
             "score_variants", "combine_variants", "evaluate_variants"],
)  # fmt: skip
def test_more_regions_ask_for_more(tmp_path: Path, rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_resources, "LEAST_MINUTES", 1)
    asked = []
    for n in (1000, 400_000):
        write_peaks(tmp_path, n)
        asked.append(job_resources.ask(used.Work(config(tmp_path)), rule, wildcards(rule)))
    assert asked[1].runtime > asked[0].runtime
    assert asked[1].mem_mb >= asked[0].mem_mb


def test_more_chunks_shorten_a_job(tmp_path: Path) -> None:
    write_peaks(tmp_path, 100_000)
    write_inspection(tmp_path)
    names = wildcards("attribute_chunk")
    few, many = (
        job_resources.ask(used.Work(config(tmp_path, chunks=n)), "attribute_chunk", names).runtime
        for n in (4, 40)
    )
    # 25,000 regions × 0.5 s (the slower fold) and 15 s to start, with the margin of a measured time.
    assert few == -(-2 * (25_000 * 0.5 + 15) // 60)
    assert many == -(-2 * (2_500 * 0.5 + 15) // 60)


def test_what_an_inspection_measured_replaces_the_guess(tmp_path: Path) -> None:
    write_peaks(tmp_path, 1000)
    work, names = used.Work(config(tmp_path)), wildcards("attribute_chunk")
    guess = job_resources.ask(work, "attribute_chunk", names)
    write_inspection(tmp_path, memory=20_000)
    assert job_resources.ask(work, "attribute_chunk", names).mem_mb >= 1.5 * 20_000 > guess.mem_mb


def test_a_gpu_job_asks_for_the_memory_of_its_context(tmp_path: Path) -> None:
    on_gpu = config(tmp_path)
    on_gpu["analyses"]["first"]["device"] = "cuda"
    names = wildcards("attribute_chunk")
    cpu, cuda = (
        job_resources.ask(used.Work(c), "attribute_chunk", names).mem_mb for c in (config(tmp_path), on_gpu)
    )
    assert cuda - cpu >= used.CUDA_MB


def test_regions_come_from_the_best_source_there_is(tmp_path: Path) -> None:
    work = used.Work(config(tmp_path))
    assert work.regions("set") == used.UNKNOWN_REGIONS
    write_peaks(tmp_path, 5000)
    assert work.regions("set") == pytest.approx(5000, rel=0.01)
    assert used.Work(config(tmp_path, top=300)).regions("set") == 300
    path = tmp_path / "results" / "regions" / "set" / "regions.bed"
    path.parent.mkdir(parents=True)
    path.write_text("#chrom\n" + "chr1\t1\t2\n" * 99)
    assert work.regions("set") == pytest.approx(99, abs=1)


def test_lines_are_counted_from_the_beginning_of_a_file(tmp_path: Path) -> None:
    text = b"".join(b"chr1\t%d\t%d\tpeak_%d\n" % (i, i + 200, i) for i in range(200_000))
    (tmp_path / "plain.bed").write_bytes(text)
    with gzip.open(tmp_path / "packed.bed.gz", "wb") as handle:
        handle.write(text)
    assert used.count_lines(tmp_path / "plain.bed") == pytest.approx(200_000, rel=0.3)
    assert used.count_lines(tmp_path / "packed.bed.gz") == pytest.approx(200_000, rel=0.5)
    assert used.count_lines(tmp_path / "none.bed") is None


def write_benchmark(folder: Path, name: str, seconds: float, memory: str) -> None:
    path = folder / "results" / "benchmarks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t{memory}\n")


def test_the_table_names_what_asks_for_too_much_or_too_little(tmp_path: Path) -> None:
    write_peaks(tmp_path, 1000)
    write_inspection(tmp_path, memory=20_000)
    for chunk in range(3):
        write_benchmark(tmp_path, f"attribute_chunk/first/f0/{chunk}.tsv", 60 + chunk, "500")
    write_benchmark(tmp_path, "encode_sequences/set.tsv", 5, "4000")
    write_benchmark(tmp_path, "render_report/report.tsv", 6, "NA")
    write_benchmark(tmp_path, "attribute_chunk/gone/f0/0.tsv", 6, "1")
    write_benchmark(tmp_path, "something_else/x.tsv", 6, "1")
    rows = job_usage.table(job_usage.read_jobs(used.Work(config(tmp_path))))
    found = {row[0]: row for row in rows[1:]}
    assert list(found) == ["encode_sequences", "attribute_chunk", "render_report"]
    assert found["attribute_chunk"][1] == "3"
    assert found["attribute_chunk"][-1].startswith("memory: requests 6")
    assert found["encode_sequences"][-1].startswith("!! memory: used 4.0×")
    assert found["render_report"][3:5] == ["-", "-"]
    assert found["render_report"][-1] == ""
    text = job_usage.as_text(rows)
    assert len(text.splitlines()) == 4


CHUNKS = [("attribute_chunk", "first")] * 8


def test_a_budget_is_held_against_what_remains(tmp_path: Path) -> None:
    write_peaks(tmp_path, 10_000)
    write_inspection(tmp_path, seconds=1.0)
    work = used.Work(config(tmp_path))
    one = (10_000 / 4 * 1.0 + 12 + 3) / 3600
    limits = {"gpu_hours": 7.5 * one, "confirmed": False}
    [problem] = budget.problems(work, CHUNKS, limits)
    assert f"would take {8 * one:.3g} hours" in problem
    assert "budget.confirmed: true" in problem
    assert not budget.problems(work, CHUNKS[:7], limits)
    assert not budget.problems(work, CHUNKS, {**limits, "confirmed": True})
    assert not budget.problems(work, CHUNKS, {**limits, "gpu_hours": None})


def test_a_budget_needs_a_price(tmp_path: Path) -> None:
    write_peaks(tmp_path, 10_000)
    work, limits = used.Work(config(tmp_path)), {"gpu_hours": 1e6, "confirmed": False}
    [problem] = budget.problems(work, CHUNKS, limits)
    assert "has not been measured yet for first" in problem
    assert "make estimate" in problem
    write_inspection(tmp_path)
    assert not budget.problems(work, CHUNKS, limits)
    [again] = budget.problems(work, [*CHUNKS, ("inspect_model", "first")], limits)
    assert "not been measured yet" in again, "a model that is inspected anew has a new price"
    assert not budget.problems(work, [("inspect_model", "first")], limits), "the estimate itself may run"


def test_requests_count_the_direct_sequences_that_are_selected(tmp_path: Path) -> None:
    (tmp_path / "s.fa").write_text("".join(f">s{i}\n{'A' * 1000}\n" for i in range(50)))
    (tmp_path / "n.txt").write_text("s1\ns2\n\ns2\n")
    (tmp_path / "t.tsv").write_text("name\tc\n" + "".join(f"s{i}\t{i % 5}.0\n" for i in range(50)))
    direct = {"peaks": None, "fasta": str(tmp_path / "s.fa")}
    for change, expected in (
        ({}, 51),  # headers are counted as letters
        ({"sample": 7}, 7),
        ({"names": str(tmp_path / "n.txt")}, 2),
        ({"table": str(tmp_path / "t.tsv"), "select": {"c": [1, 2]}}, 20),
        ({"table": str(tmp_path / "t.tsv"), "select": {"c": [1]}, "top": 3}, 3),
    ):
        assert used.Work(config(tmp_path, **direct, **change)).regions("set") == expected


def test_the_estimate_and_the_requests_count_the_same_seconds_for_a_job_that_does_nothing() -> None:
    from cislex.cost import estimate

    assert estimate.JOB_SECONDS == used.JOB_SECONDS
