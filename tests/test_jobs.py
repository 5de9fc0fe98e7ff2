"""Caches lie on the node, belong to the user, and many jobs may start at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cislex import jobs
from cislex.jobs import deadline, local_caches

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.delenv("MPLCONFIGDIR", raising=False)


def test_caches_belong_to_the_user(tmp_path: Path) -> None:
    found = local_caches(3)
    folder = tmp_path / f"cislex-cache-{os.getuid()}"
    assert found["NUMBA_CACHE_DIR"] == str(folder / "numba")
    assert found["MPLCONFIGDIR"] == str(folder / "matplotlib")
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
    text = f"import sys; from cislex import jobs; print([m for m in {heavy} if m in sys.modules])"
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
from cislex.jobs import tell
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


def test_an_unforeseen_error_and_a_cause_keep_their_traceback() -> None:
    unforeseen = _uncaught("raise ValueError('odd')")
    assert unforeseen.startswith("Traceback")
    assert unforeseen.endswith("ValueError: odd\n")
    caused = _uncaught("raise InputError('the model failed') from ValueError('odd')")
    assert "ValueError: odd" in caused
    assert caused.endswith("cislex.errors.InputError: the model failed\n")


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
