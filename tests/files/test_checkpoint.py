"""Finished batches survive a killed job; anything doubtful is computed again."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from cislex.files import checkpoint
from cislex.files.checkpoint import MAGIC, Checkpoint, partial_path

ROOT = Path(__file__).resolve().parents[2]
IDENTITY = {"model": "abc", "seed": 1}


def run(text: str) -> subprocess.CompletedProcess[str]:
    """Run a program that imports the package."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    return subprocess.run([sys.executable, "-c", text], env=env, capture_output=True, text=True, check=False)


def batch(start: int, stop: int) -> dict[str, np.ndarray]:
    rows = np.arange(start, stop, dtype=np.float32)
    return {"a": rows[:, None] * np.ones((1, 3), np.float32), "b": rows.astype(np.float64)}


def fill(path: Path, stops: tuple[int, ...] = (4, 8, 10)) -> None:
    with Checkpoint(path, IDENTITY) as log:
        for stop in stops:
            log.append(stop, batch(log.rows, stop), {"n": f"to {stop}"})


def contents(log: Checkpoint) -> list[tuple[int, int]]:
    found = []
    for start, stop, arrays, notes in log.records():
        np.testing.assert_array_equal(arrays["a"], batch(start, stop)["a"])
        np.testing.assert_array_equal(arrays["b"], batch(start, stop)["b"])
        assert notes == {"n": f"to {stop}"}
        found.append((start, stop))
    return found


def test_continues_where_it_ended(tmp_path: Path) -> None:
    path = partial_path(tmp_path / "chunk.h5")
    assert path.name == "chunk.h5.partial"
    fill(path)
    with Checkpoint(path, IDENTITY) as log:
        assert log.rows == 10
        log.append(12, batch(10, 12), {"n": "to 12"})
        assert contents(log) == [(0, 4), (4, 8), (8, 10), (10, 12)]
        log.append(13, batch(12, 13), {"n": "to 13"})  # reading leaves the end where it was
    with Checkpoint(path, IDENTITY) as log:
        assert log.rows == 13
        log.remove()
    assert not path.exists()


def test_other_settings_begin_anew(tmp_path: Path) -> None:
    fill(tmp_path / "p")
    with Checkpoint(tmp_path / "p", {**IDENTITY, "seed": 2}) as log:
        assert log.rows == 0
        assert contents(log) == []


@pytest.mark.parametrize("lost", [1, 10, 16, 17, 60, 100])
def test_an_incomplete_record_is_cut_off(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "p"
    fill(path)
    path.write_bytes(path.read_bytes()[:-lost])
    with Checkpoint(path, IDENTITY) as log:
        assert log.rows == 8
        log.append(10, batch(8, 10), {"n": "to 10"})
        assert contents(log) == [(0, 4), (4, 8), (8, 10)]


def test_a_damaged_record_and_all_after_it_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "p"
    fill(path)
    raw = bytearray(path.read_bytes())
    place = raw.index(b'"to 8"') + 40
    raw[place] ^= 1
    path.write_bytes(bytes(raw))
    with Checkpoint(path, IDENTITY) as log:
        assert log.rows == 4
        assert contents(log) == [(0, 4)]


@pytest.mark.parametrize("text", [b"", b"something else", MAGIC, MAGIC + b"{}\n" + b"\xff" * 40])
def test_any_other_file_is_begun_anew(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "p").write_bytes(text)
    with Checkpoint(tmp_path / "p", IDENTITY) as log:
        assert log.rows == 0


def test_a_killed_process_loses_nothing_that_was_synced(tmp_path: Path) -> None:
    text = f"""
import os, signal, numpy as np
from cislex.files.checkpoint import Checkpoint
log = Checkpoint({str(tmp_path / "p")!r}, {IDENTITY!r})
for stop in (4, 8):
    rows = np.arange(log.rows, stop, dtype=np.float32)
    arrays = {{"a": rows[:, None] * np.ones((1, 3), np.float32), "b": rows.astype(np.float64)}}
    log.append(stop, arrays, {{"n": f"to {{stop}}"}})
log.sync()
log._file.write(b"half a record"); log._file.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = run(text)
    assert done.returncode == -signal.SIGKILL
    with Checkpoint(tmp_path / "p", IDENTITY) as log:
        assert log.rows == 8
        assert contents(log) == [(0, 4), (4, 8)]


@pytest.mark.parametrize("finished", [0, 4])
def test_a_full_disk_is_a_named_error_and_what_is_finished_stays(tmp_path: Path, finished: int) -> None:
    text = f"""
import resource, numpy as np
from cislex.errors import StorageError
from cislex.files.checkpoint import Checkpoint
try:
    with Checkpoint({str(tmp_path / "p")!r}, {IDENTITY!r}) as log:
        rows = np.arange({finished}, dtype=np.float32)
        if {finished}:
            arrays = {{"a": rows[:, None] * np.ones((1, 3), np.float32), "b": rows.astype(float)}}
            log.append(4, arrays, {{"n": "to 4"}})
        log.sync()
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        log.append(8, {{"a": np.zeros(50_000)}}, {{}})
except StorageError as error:
    print(error)
"""
    done = run(text)
    assert "cannot write partial results" in done.stdout
    assert "raise the limit, or choose another folder" in done.stdout
    assert not done.stderr, "nothing that closing the file says may hide it"
    assert (tmp_path / "p").exists() == bool(finished)
    if finished:
        assert (tmp_path / "p").stat().st_size < 1000, "the log needs the space of the broken record"
        with Checkpoint(tmp_path / "p", IDENTITY) as log:
            assert contents(log) == [(0, 4)]


def test_a_disk_that_is_full_at_the_end_is_a_named_error_too(tmp_path: Path) -> None:
    text = f"""
import resource, numpy as np
from cislex.errors import StorageError
from cislex.files.checkpoint import Checkpoint
try:
    with Checkpoint({str(tmp_path / "p")!r}, {IDENTITY!r}) as log:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
        log.append(4, {{"a": np.zeros(100)}}, {{}})  # stays in memory until the file is closed
except StorageError as error:
    print(error)
"""
    done = run(text)
    assert "cannot write partial results" in done.stdout, done.stderr


def test_a_second_job_waits_for_the_first_and_goes_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "LOOK_SECONDS", 0.02)
    path, found = tmp_path / "p", []
    first = Checkpoint(path, IDENTITY)
    first.append(4, batch(0, 4), {"n": "to 4"})

    def second() -> None:
        with Checkpoint(path, IDENTITY) as log:
            found.append(log.rows)

    thread = threading.Thread(target=second)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive(), "two jobs must not write one file"
    first.append(8, batch(4, 8), {"n": "to 8"})
    first.close()
    thread.join(10)
    assert found == [8]


def test_a_second_job_begins_anew_where_the_first_has_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "LOOK_SECONDS", 0.02)
    path, found = tmp_path / "p", []
    first = Checkpoint(path, IDENTITY)
    first.append(4, batch(0, 4), {"n": "to 4"})

    def second() -> None:
        with Checkpoint(path, IDENTITY) as log:
            found.append(log.rows)
            log.append(4, batch(0, 4), {"n": "to 4"})
            found.append(contents(log))

    thread = threading.Thread(target=second)
    thread.start()
    thread.join(0.2)
    first.remove()
    thread.join(10)
    assert found == [0, [(0, 4)]]


def test_a_file_system_without_locks_is_told_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    fill(tmp_path / "p")
    assert "the file system does not support locks" in caplog.text
    with Checkpoint(tmp_path / "p", IDENTITY) as log:
        assert contents(log) == [(0, 4), (4, 8), (8, 10)]
