"""Inspection says what a model is, and stops before the expensive work when it cannot be attributed."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from cislex.attribution import DinucleotideShuffle, Saliency, make_references, save_references
from cislex.errors import ModelError, UnsupportedOperationError
from cislex.prediction.inspect import Row, _timed, as_text, inspect_model, random_sequences, share_over
from cislex.targets import Output
from inspection_fixture import METHOD, inspect


def test_everything_a_user_wants_to_know(tmp_path: Path) -> None:
    table = pd.read_csv(inspect(tmp_path, folds=2), sep="\t", keep_default_na=False)
    assert list(table.columns) == ["fold", "section", "name", "value", "detail"]
    assert set(table["fold"]) == {"fold_0", "fold_1"}
    one = table[table["fold"] == "fold_0"].set_index(["section", "name"])
    assert one.loc[("model", "class"), "detail"] == f"{4 * 6 * 7 + 6 + 14:,} parameters"
    assert one.loc[("output", "output"), "value"] == "N × 2"
    assert "looks like probabilities" in one.loc[("output", "output"), "detail"]
    assert one.loc[("operation", "amax"), "value"] == "maximum: routed to both argmaxima"
    assert one.loc[("operation", "sigmoid"), "value"] == "slope between example and reference"
    assert float(one.loc[("delta", "first"), "value"]) < 1e-4
    assert float(one.loc[("cost", "seconds_per_region"), "value"]) > 0
    text = (tmp_path / "inspection.txt").read_text()
    assert "amax" in text
    assert "!!" not in text


def test_what_says_that_a_model_passed_holds_no_measurement(tmp_path: Path) -> None:
    inspect(tmp_path, folds=2)
    first = (tmp_path / "passed.json").read_bytes()
    digests = json.loads(first)
    assert list(digests) == ["fold_0", "fold_1"]
    assert digests["fold_0"] != digests["fold_1"]
    model = {"loader": "factory", "module": f"{tmp_path / 'net.py'}:build"}
    files = [tmp_path / name for name in ("t.tsv", "t.txt", "again.json")]
    weights = {fold: tmp_path / f"{fold}.pt" for fold in digests}
    wanted = {"first": {"kind": "output", "index": 0}}
    inspect_model(weights, *files, length=60, wanted=wanted, method=METHOD, model=model, device="cpu")
    assert files[2].read_bytes() == first


def test_unknown_operation_stops_and_is_shown_in_red(tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(UnsupportedOperationError, match="special_i0") as raised:
        inspect(tmp_path, build="build_strange")
    assert str(raised.value).count("special_i0") == 1, "named once, however many folds have it"
    line = next(line for line in capsys.readouterr().out.splitlines() if "special_i0" in line)
    assert line.startswith("\033[31m!!")
    assert "net.py:" in line
    assert not (tmp_path / "inspection.tsv").exists()
    assert not (tmp_path / "passed.json").exists()


def test_unknown_operation_that_is_integrated_passes(tmp_path: Path) -> None:
    table = pd.read_csv(
        inspect(tmp_path, build="build_strange", method={**METHOD, "unknown_ops": "integrate"}), sep="\t"
    )
    assert "path: integrated" in set(table["value"])


@pytest.mark.parametrize(("on_fail", "stops"), [("error", True), ("drop", False)])
def test_delta_over_the_limit_names_the_operation(tmp_path: Path, on_fail: str, stops: bool) -> None:
    options: dict[str, Any] = {
        "gate": {"max_relative_delta": 1e-12, "on_fail": on_fail},
        "precision": "float32",
    }
    if stops:
        with pytest.raises(UnsupportedOperationError, match="first"):
            inspect(tmp_path, **options)
        return
    table = pd.read_csv(inspect(tmp_path, **options), sep="\t")
    assert table[table["section"] == "delta"]["detail"].str.contains("most of it from").all()


def test_gradient_methods_need_no_rules(tmp_path: Path) -> None:
    table = pd.read_csv(inspect(tmp_path, build="build_strange", method={"name": "tism"}), sep="\t")
    assert "operation" not in set(table["section"])
    assert "cost" in set(table["section"])


@pytest.mark.parametrize("method", [METHOD, {"name": "tism"}])
def test_a_target_that_the_output_does_not_have_is_named_as_in_the_config(
    tmp_path: Path, method: dict[str, Any]
) -> None:
    wanted = {"first": {"kind": "output", "index": 0}, "far": {"kind": "output", "index": 7}}
    with pytest.raises(ModelError, match=r"analyses\.mine\.targets\.far.*index 7 is out of range"):
        inspect(tmp_path, wanted=wanted, method=method, analysis="mine")


def test_random_sequences_are_one_hot_and_always_the_same() -> None:
    x = random_sequences(50)
    assert x.shape == (10, 4, 50)
    assert bool((x.sum(1) == 1).all())
    assert bool((x == random_sequences(50)).all())


def test_text_is_aligned_and_marks_what_is_bad() -> None:
    rows = [("fold_0", Row("operation", "relu", "slope")), ("fold_0", Row("delta", "t", "1", "x", bad=True))]
    lines = as_text(rows).splitlines()
    assert lines[0] == "fold_0"
    assert lines[1].startswith("   operation  relu")
    assert lines[2].startswith("!! delta")


def test_saved_references_belong_to_the_regions_and_are_not_asked_for(tmp_path: Path) -> None:
    x = torch.eye(4, dtype=torch.uint8)[torch.randint(4, (3, 60))].transpose(1, 2)
    save_references(tmp_path / "references.h5", make_references(DinucleotideShuffle(n=2), x), x)
    references = {"kind": "saved", "path": str(tmp_path / "references.h5")}
    table = pd.read_csv(inspect(tmp_path, method={**METHOD, "references": references}), sep="\t")
    assert "delta" in set(table["section"])


def test_what_a_run_would_cost(tmp_path: Path) -> None:
    table = pd.read_csv(inspect(tmp_path, started=time.time() - 100), sep="\t", keep_default_na=False)
    cost = table[table["section"] == "cost"].set_index("name")["value"].astype(float)
    convolution, dense = 2 * (60 - 6) * 6 * 4 * 7, 2 * 6 * 2
    assert cost["flops_per_sequence"] == pytest.approx(convolution + dense, rel=1e-3)
    assert 100 <= cost["startup_seconds"] < 200  # with what the job did before
    assert cost["host_memory_mb"] > 50


def test_an_output_that_is_constant_is_told(tmp_path: Path) -> None:
    path = inspect(
        tmp_path, build="build_dead", wanted={n: {"kind": "output", "index": i} for i, n in enumerate("ab")}
    )
    table = pd.read_csv(path, sep="\t").set_index(["section", "name"])["detail"]
    assert "no attribution" in table["target", "a"]
    assert "no attribution" not in table["target", "b"]


def test_a_delta_near_the_limit_is_a_warning_with_the_share_to_expect(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    worst = float(pd.read_csv(inspect(tmp_path), sep="\t").set_index("section").loc["delta", "value"])
    with caplog.at_level("WARNING"):
        table = pd.read_csv(
            inspect(tmp_path, gate={"max_relative_delta": 3 * worst, "on_fail": "error"}), sep="\t"
        )
    detail = table.set_index("section").loc["delta", "detail"]
    assert "within a factor of 10 of the limit" in detail
    assert re.search(r"about \d+\.\d\d% of the regions will be over it \(log-normal fitted to 10", detail)
    assert detail in caplog.text
    assert "\n!  delta" in (tmp_path / "inspection.txt").read_text()
    caplog.clear()
    inspect(tmp_path, gate={"max_relative_delta": 20 * worst, "on_fail": "error"})
    assert "within a factor" not in caplog.text


def test_the_share_over_the_limit_is_that_of_a_log_normal() -> None:
    drawn = 10 ** np.random.default_rng(0).normal(-4, 0.5, 20_000)
    for limit in (1e-4, 1e-3, 10**-2.5):
        assert share_over(drawn[:2000], limit) == pytest.approx((drawn > limit).mean(), abs=0.02)
    assert share_over(np.full(10, 1e-4), 1e-3) < 1e-6


def test_waiting_for_other_programs_is_no_cost_of_the_model() -> None:
    class Waits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            time.sleep(0.3)  # as on a machine whose processors are busy
            return self.head(x.mean(2))

    way = {"device": "cpu", "batch_size": None, "precision": "float32", "reverse_complement": False}
    _, first, later = _timed(Waits(), random_sequences(40, 2), Saliency(), [Output(0)], way, lambda _: [])
    assert max(first, 2 * later) < 0.3
