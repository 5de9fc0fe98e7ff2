"""Caches lie on the node, belong to the user, and many jobs may start at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cislex.runtime import jobs
from cislex.runtime.jobs import deadline, local_caches

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)


def test_caches_belong_to_the_user(tmp_path: Path) -> None:
    found = local_caches(3)
    folder = tmp_path / f"cislex-cache-{os.getuid()}"
    assert found["NUMBA_CACHE_DIR"] == str(folder / "numba")
    assert found["MPLCONFIGDIR"] == str(folder / "matplotlib")
    assert found["TORCHINDUCTOR_CACHE_DIR"] == str(folder / "inductor")
    assert found["NUMBA_NUM_THREADS"] == "3"
    assert folder.stat().st_mode & 0o077 == 0
    assert local_caches(3) == found


def test_a_folder_that_others_can_write_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / f"cislex-cache-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    assert not local_caches()["NUMBA_CACHE_DIR"].startswith(str(folder))


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"cislex-cache-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    assert "elsewhere" not in local_caches()["NUMBA_CACHE_DIR"]
    assert str(tmp_path / f"cislex-cache-{os.getuid()}/") not in local_caches()["NUMBA_CACHE_DIR"]


def test_what_the_user_set_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/somewhere")
    assert local_caches()["NUMBA_CACHE_DIR"] == "/somewhere"


def test_begin_needs_the_standard_library_only() -> None:
    heavy = "('numpy', 'torch', 'numba')"
    text = f"import sys; from cislex.runtime import jobs; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", text], env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]", "importing jobs must not load anything heavy before the log is open"


def _uncaught(raised: str) -> str:
    """What a job that raises leaves in its log."""
    text = f"""
import sys
from cislex.errors import InputError
from cislex.runtime.jobs import tell
sys.excepthook = tell
{raised}
"""
    done = subprocess.run(
        [sys.executable, "-c", text], env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    return done.stderr


def test_an_error_on_purpose_is_its_message_alone() -> None:
    assert _uncaught("raise InputError('p.bed:3: no number')") == "InputError: p.bed:3: no number\n"


def test_an_unforeseen_error_keeps_its_traceback() -> None:
    unforeseen = _uncaught("raise ValueError('odd')")
    assert unforeseen.startswith("Traceback")
    assert unforeseen.endswith("ValueError: odd\n")


def test_a_cause_is_one_line_with_its_place_in_the_users_code(tmp_path: Path) -> None:
    assert _uncaught("raise InputError('the model failed') from ValueError('odd')") == (
        "InputError: the model failed\ncaused by ValueError: odd\n"
    )
    (tmp_path / "model.py").write_text("def forward():\n    raise ValueError('odd')\n")
    found = _uncaught(
        f"""
sys.path.insert(0, {str(tmp_path)!r})
import model
try:
    model.forward()
except ValueError as error:
    raise InputError("the model failed: ValueError: odd") from error
"""
    )
    assert "Traceback" not in found
    assert found.endswith(f"odd, at {tmp_path}/model.py:2 in forward: raise ValueError('odd')\n")


@pytest.mark.parametrize("number", ["EIO", "EFBIG", "ENOSPC", "EROFS", "EACCES"])
def test_what_the_system_says_of_a_file_is_one_line_with_advice(number: str) -> None:
    code = f"errno.{number}"
    found = _uncaught(f"import errno, os; raise OSError({code}, os.strerror({code}), '/a/b.h5')")
    assert found.count("\n") == 1
    assert re.search(r"Error: /a/b\.h5: [A-Z].*; [a-z]", found), found


def test_a_full_disk_that_a_library_met_is_one_line_with_advice() -> None:
    found = _uncaught(
        """
import errno, os
try:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
except OSError:
    raise RuntimeError("a cache that cannot be written")
"""
    )
    assert found.count("\n") == 1
    assert re.match(r"StorageError: disk full .*TMPDIR is /.*: free some space", found), found


def test_too_little_memory_says_what_to_do() -> None:
    found = _uncaught("raise MemoryError('Unable to allocate 2.0 GiB')")
    assert found.startswith("MemoryError: Unable to allocate 2.0 GiB; give the job more memory")
    assert "Traceback" not in found


def test_what_is_said_of_a_file_needs_no_traceback() -> None:
    text = _uncaught(
        "from cislex.errors import StorageError\n"
        "raise StorageError('disk full: free some space') from OSError(28, 'No space left on device')"
    )
    assert text == "StorageError: disk full: free some space\n"


#: Runs a script as Snakemake would, up to the first thing that it does after its imports.
FIRST_CALL = """
import runpy, sys
from types import SimpleNamespace
from cislex.attribution import kernels

def called():
    print("called", file=sys.__stdout__, flush=True)
    raise SystemExit

kernels.keep_freed_memory = called
job = SimpleNamespace(scriptdir=sys.argv[2], log=[sys.argv[3]], threads=1)
runpy.run_path(sys.argv[1], init_globals={"snakemake": job})
"""


@pytest.mark.parametrize("name", ["attribute_chunk", "inspect_model", "predict_regions", "train_model"])
def test_a_job_that_computes_with_torch_keeps_freed_memory(tmp_path: Path, name: str) -> None:
    log = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-c", FIRST_CALL, str(ROOT / "scripts" / f"{name}.py"), str(ROOT / "scripts"), log],
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert log.read_text() == "called\n", done.stderr


#: Pages that the system has to hand out while 64 MB are taken and given back 20 times.
FAULTS = """
import resource, sys, torch
from cislex.attribution import DeepLiftShap, DinucleotideShuffle, attribute
from cislex.attribution.kernels import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(1 << 24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

layers = torch.nn.Conv1d(4, 2, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(92, 1)
x = torch.nn.functional.one_hot(torch.randint(4, (2, 50)), 4).transpose(1, 2)
attribute(torch.nn.Sequential(*layers), x, DeepLiftShap(DinucleotideShuffle(n=2)))
by_default = faults()
print(keep_freed_memory(), by_default, faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_the_library_leaves_the_memory_of_a_process_as_it_is_and_a_job_does_not() -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], env={**kept, "PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    effect, by_default, after = done.stdout.split()
    assert effect == "True"
    assert int(by_default) > 5 * int(after), "the pages come from the system each time, and then only once"


def test_programs_that_a_job_starts_keep_freed_memory_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    text = (
        "import os; from cislex.runtime.jobs import begin; "
        f"begin({str(tmp_path / 'log')!r}); print(dict(os.environ))"
    )
    done = subprocess.run(
        [sys.executable, "-c", text],
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "MALLOC_TRIM_THRESHOLD_": "7"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    log = (tmp_path / "log").read_text()
    assert "'MALLOC_MMAP_THRESHOLD_': '4294967296'" in log
    assert "'MALLOC_TRIM_THRESHOLD_': '7'" in log


def test_what_is_announced_is_in_the_log_and_on_the_terminal(tmp_path: Path) -> None:
    text = (
        "import logging, sys; from cislex import logs; logs.redirect(sys.argv[1]); "
        "logger = logs.get_logger('cislex.test'); logger.info('a detail'); "
        "logs.announce(logger, logging.WARNING, '9 of 10 rows dropped, 50% more')"
    )
    done = subprocess.run(
        [sys.executable, "-c", text, str(tmp_path / "job.log")],
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == "WARNING: 9 of 10 rows dropped, 50% more\n"
    log = (tmp_path / "job.log").read_text()
    assert "a detail" in log
    assert "WARNING cislex.test: 9 of 10 rows dropped, 50% more" in log


def test_deadline_only_where_a_batch_system_would_stop_the_job() -> None:
    assert deadline(60, {}) is None


def test_deadline_leaves_time_to_write() -> None:
    found = deadline(60, {"SLURM_JOB_ID": "7"})
    assert found is not None
    assert found - jobs._BEGAN == pytest.approx(60 * 60 * 0.95)
    short = deadline(2, {"SLURM_JOB_ID": "7"})
    assert short is not None
    assert short - jobs._BEGAN == pytest.approx(120 - 45)


def test_deadline_of_the_batch_system_wins() -> None:
    end = jobs._BEGAN + 600
    found = deadline(60, {"SLURM_JOB_ID": "7", "SLURM_JOB_END_TIME": str(end)})
    assert found == pytest.approx(end - 45, abs=1)


@pytest.mark.parametrize("off", [-7200, -3600, 0, 5400, 7200])
def test_deadline_on_a_node_whose_clock_is_off(off: int) -> None:
    """A job of an hour that has just begun, for the controller; for this node hours ago or ahead."""
    start = jobs.started_at() - off
    told = {"SLURM_JOB_START_TIME": str(start), "SLURM_JOB_END_TIME": str(start + 3600)}
    end = jobs.deadline(10, {"SLURM_JOB_ID": "1", **told})
    assert end is not None
    assert end - jobs.started_at() == pytest.approx(3600 * 0.95)
