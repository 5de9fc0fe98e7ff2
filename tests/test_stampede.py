"""Many jobs that start at once on one machine share caches and indices without harm, and need no home."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from cislex.regions.genome import index_genome
from cislex.sequences.importing import import_sequences

ROOT = Path(__file__).resolve().parents[1]
JOBS = 8
#: Each process says that it is ready, and waits for the others.
TOGETHER = """
import json, os, sys, time
from pathlib import Path
folder, number = Path(sys.argv[1]), sys.argv[2]

def together():
    (folder / f"ready.{number}").touch()
    while not (folder / "go").exists():
        time.sleep(0.01)
"""
COMPILE = """
import numpy as np
from cislex.runtime.jobs import local_caches
os.environ.update(local_caches())
from cislex.sequences import shuffles
codes = np.arange(60, dtype=np.uint8).reshape(1, 60) % 4
out = np.zeros((1, 2, 4, 60), np.uint8)
together()
shuffles.fill_shuffles(codes, np.array([7]), 0, 60, True, out)
kernels = [shuffles._fill, shuffles._twist, shuffles._permute, shuffles._walk]
misses = {kernel.__name__: sum(kernel.stats.cache_misses.values()) for kernel in kernels}
print(json.dumps({"misses": misses, "sum": int((out * np.arange(60)).sum())}))
"""
GENOME = """
from cislex.regions.genome import Genome
together()
with Genome(folder / "genome.fa", fai=folder / "index.fai", gzi=folder / "index.gzi") as genome:
    given = genome.codes("chr2", 5, 25).tolist()
with Genome(folder / "genome.fa") as genome:
    own = genome.codes("chr2", 5, 25).tolist()
print(json.dumps([given, own]))
"""


def environment(folder: Path, **changes: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR")}
    own = {"PYTHONPATH": str(ROOT / "scripts"), "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    return {**kept, **own, **changes}


def at_once(folder: Path, program: str) -> list[Any]:
    """What each of eight processes prints that do the same at the same time."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", TOGETHER + program, str(folder), str(number)],
            env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(JOBS)
    ]  # fmt: skip
    while any(job.poll() is None for job in running) and len(list(folder.glob("ready.*"))) < JOBS:
        time.sleep(0.02)
    (folder / "go").touch()
    finished = [job.communicate() for job in running]
    assert all(job.returncode == 0 for job in running), [text for _, text in finished]
    return [json.loads(text) for text, _ in finished]


def test_a_kernel_is_compiled_by_one_of_eight_processes(tmp_path: Path) -> None:
    found = at_once(tmp_path, COMPILE)
    assert len({entry["sum"] for entry in found}) == 1
    for kernel in found[0]["misses"]:
        compilers = sum(entry["misses"][kernel] > 0 for entry in found)
        assert compilers == 1, f"{kernel} was compiled by {compilers} processes"


def test_a_process_that_dies_while_it_compiles_frees_the_others(tmp_path: Path) -> None:
    begin = "from cislex.runtime.compilation import _MachineLock\nwith _MachineLock('cislex'):\n"
    hold = begin + "    (folder / 'held').touch()\n    time.sleep(600)\n"
    take = begin + "    print('taken')\n"
    own = environment(tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "numba"))
    first = subprocess.Popen([sys.executable, "-c", TOGETHER + hold, str(tmp_path), "0"], env=own)
    while not (tmp_path / "held").exists():
        assert first.poll() is None
        time.sleep(0.02)
    second = subprocess.Popen(
        [sys.executable, "-c", TOGETHER + take, str(tmp_path), "1"],
        env=own,
        stdout=subprocess.PIPE,
        text=True,
    )
    with pytest.raises(subprocess.TimeoutExpired):
        second.communicate(timeout=3)
    other = [sys.executable, "-c", TOGETHER + take.replace("'cislex'", "'memelite'"), str(tmp_path), "2"]
    said = subprocess.check_output(other, env=own, text=True, timeout=120)
    assert said == "taken\n", "the kernels of another package wait for nothing"
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert second.communicate(timeout=120)[0].strip() == "taken"


def test_a_thread_may_compile_while_it_compiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from cislex.runtime import compilation

    monkeypatch.setattr(compilation.numba.config, "CACHE_DIR", str(tmp_path / "numba"))
    lock = compilation._MachineLock("cislex")
    with lock:
        with lock:
            assert lock._file is not None
        assert lock._file is not None, "the inner one must not free it"
    assert lock._file is None


def test_eight_processes_read_one_genome_and_write_nothing_beside_it(tmp_path: Path) -> None:
    user = tmp_path / "user"
    user.mkdir()
    (tmp_path / "genome.fa").symlink_to(user / "genome.fa")
    (user / "genome.fa").write_text(">chr1\nACGTACGT\n>chr2\n" + "ACGTTTGACCA\n" * 5)
    index_genome(user / "genome.fa", *(tmp_path / name for name in ("c.tsv", "index.fai", "index.gzi")))
    before = (tmp_path / "index.fai").stat().st_mtime_ns
    found = at_once(tmp_path, GENOME)
    assert all(entry == found[0] for entry in found)
    assert found[0][0] == found[0][1]
    assert (tmp_path / "index.fai").stat().st_mtime_ns == before
    assert [path.name for path in user.iterdir()] == ["genome.fa"]
    assert not list(tmp_path.glob("genome.fa.*"))


MODEL = """
from torch import nn

def build():
    head = nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(3, 1)
    return nn.Sequential(nn.Conv1d(4, 3, 5), nn.ReLU(), *head)
"""
JOB = """
import runpy, types
folder = Path(sys.argv[1])
job = {"chunks": 1, "targets": {"t": {"kind": "output", "index": 0}},
       "method": {"name": "deep_lift_shap", "rule": "rescale", "unknown_ops": "error",
                  "references": {"kind": "dinucleotide_shuffle", "n": 2, "seed": 0}}}
space = types.SimpleNamespace
snakemake = space(
    scriptdir=sys.argv[3] + "/scripts", log=[str(folder / "job.log")], threads=1,
    input=space(sequences=str(folder / "s.h5"), weights=str(folder / "w.pt"),
                inspected=None, number=None, windows=None),
    output=space(chunk=str(folder / "chunk.h5")), wildcards=space(chunk="0", fold="f", analysis="a"),
    resources=space(runtime=10),
    config={"analyses": {"a": {"qc": {"max_relative_delta": 1e-3, "on_fail": "error",
                                      "allow_incomplete": False}}}},
    params=space(job=job, model={"loader": "factory", "module": str(folder / "m.py") + ":build"},
                 batch_size=None, device="cpu"),
)
runpy.run_path(sys.argv[3] + "/scripts/attribute_chunk.py", {"snakemake": snakemake})
"""


def test_a_job_needs_no_home(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(MODEL)
    namespace: dict[str, Any] = {}
    exec(MODEL, namespace)
    torch.save(namespace["build"]().state_dict(), tmp_path / "w.pt")
    (tmp_path / "s.fa").write_text(">a\n" + "ACGTTGCA" * 5 + "\n>b\n" + "TTGACCAA" * 5 + "\n")
    import_sequences(tmp_path / "s.fa", tmp_path / "r.bed", tmp_path / "d.tsv", tmp_path / "s.h5")
    # Below a device nothing can be made, not even by root.
    own = environment(tmp_path, HOME="/dev/null/home")
    for name in [key for key in own if key.startswith("XDG_")]:
        del own[name]
    done = subprocess.run(
        [sys.executable, "-c", TOGETHER + JOB, str(tmp_path), "0", str(ROOT)],
        env=own, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, (tmp_path / "job.log").read_text()
    with h5py.File(tmp_path / "chunk.h5") as handle:
        assert handle["targets/t/hypothetical"].shape == (2, 4, 40)
    assert (tmp_path / f"cislex-cache-{os.getuid()}" / "numba").is_dir()
