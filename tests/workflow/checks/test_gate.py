"""A quality gate that was changed after the inspection is compared with what the inspection found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cislex_workflow.checks import gate

ROOT = Path(__file__).resolve().parents[3]
PLANNED = [("attribute_chunk", "shap"), ("attribute_chunk", "shap")]


def config(folder: Path, limit: float, on_fail: str = "error") -> dict[str, Any]:
    inspection = folder / "shap" / "inspection.tsv"
    inspection.parent.mkdir(exist_ok=True)
    inspection.write_text(
        "fold\tsection\tname\tvalue\tdetail\n"
        "fold_0\tdelta\tfirst\t1.0e-05\t\nfold_1\tdelta\tfirst\t3.0e-04\t\n"
        "fold_0\tdelta\tsecond\t2.0e-05\t\nfold_0\tcost\tseconds_per_region\t7\t\n"
    )
    return {
        "results": str(folder),
        "analyses": {"shap": {"qc": {"max_relative_delta": limit, "on_fail": on_fail}}},
    }


def test_a_stricter_gate_names_the_worst_target_over_folds(tmp_path: Path) -> None:
    (problem,) = gate.problems(config(tmp_path, 1e-4), PLANNED)
    assert problem.startswith("analyses.shap.qc.max_relative_delta is 0.0001")
    assert "3.0e-04 for first" in problem
    assert "nothing was started" in problem


@pytest.mark.parametrize(("limit", "on_fail"), [(1e-3, "error"), (1e-4, "drop"), (1e-4, "keep")])
def test_a_gate_that_does_not_stop_the_run_is_no_problem(tmp_path: Path, limit: float, on_fail: str) -> None:
    assert gate.problems(config(tmp_path, limit, on_fail), PLANNED) == []


def test_what_is_inspected_in_this_run_or_not_attributed_is_left_to_the_jobs(tmp_path: Path) -> None:
    strict = config(tmp_path, 1e-9)
    assert gate.problems(strict, [*PLANNED, ("inspect_model", "shap")]) == []
    assert gate.problems(strict, []) == []
    (tmp_path / "shap" / "inspection.tsv").unlink()
    assert gate.problems(strict, PLANNED) == []
