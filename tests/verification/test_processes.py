"""Large attributions are read by several processes, which find what one finds."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from cislex.verification import attributions, blocks
from cislex.verification.verify import verify_results

ROOT = Path(__file__).resolve().parents[2]
FILE = "a/t/attributions.all.h5"


@pytest.fixture
def benchmark() -> Any:
    """benchmarks/verification.py, which writes such files."""
    spec = importlib.util.spec_from_file_location(
        "verification_benchmark", ROOT / "benchmarks/verification.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def found(root: Path, benchmark: Any, threads: int) -> Any:
    reports = verify_results(root, None, settings=benchmark.SETTINGS, threads=threads)
    return next(report for report in reports if report.path == FILE)


def test_processes_share_the_rows(tmp_path: Path, benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributions, "SHARED", 0)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    root = tmp_path / "results"
    benchmark.write_results(root, 400, 60)
    one, three = (found(root, benchmark, threads) for threads in (1, 3))
    assert one.status == three.status == "ok"
    for name in ("wide", "bases"):
        np.testing.assert_array_equal(one.facts[name], three.facts[name])
        assert len(set(one.facts[name].tolist())) > 390
    with h5py.File(root / FILE, "r+") as handle:
        handle["baseline"][399, 2] = np.nan
        info = handle["hypothetical"].id.get_chunk_info(handle["hypothetical"].id.get_num_chunks() - 1)
    said = found(root, benchmark, 3)
    assert "baseline: NaN or infinite in rows 399" in said.what
    data = bytearray((root / FILE).read_bytes())
    data[info.byte_offset + info.size // 2] ^= 4
    (root / FILE).write_bytes(data)
    said = found(root, benchmark, 3)
    assert re.search(r"/hypothetical, rows \d+ to 400: cannot be read", said.what), said.what
