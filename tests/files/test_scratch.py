"""Temporary folders: what other users or killed jobs put there stops no job and is not used."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from cislex.errors import StorageError
from cislex.files import scratch
from cislex.files.scratch_arrays import scratch_array
from cislex.runtime.devices import claim
from cislex.runtime.jobs import local_caches

ROOT = Path(__file__).resolve().parents[2]


class OneGpu:
    def names(self) -> list[str]:
        return ["GPU-0"]

    def free_share(self, index: int) -> float:
        return 1.0


def _open_to_all(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def _foreign(path: Path) -> None:
    path.mkdir()
    if os.getuid() != 0:
        pytest.skip("only root can give a folder to another user")
    os.chown(path, 12345, 12345)


#: What another user may have put under a name that is known beforehand.
TRAPS: dict[str, Callable[[Path], None]] = {
    "a file": lambda path: path.touch(),
    "a dangling link": lambda path: path.symlink_to(path.parent / "nowhere"),
    "a link to a folder": lambda path: path.symlink_to(path.parent / "elsewhere"),
    "a folder that all may write": _open_to_all,
    "a folder of another user": _foreign,
}


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tmp" / "elsewhere").mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "tmp"


@pytest.mark.parametrize("kind", TRAPS)
def test_what_another_user_prepared_neither_stops_nor_feeds_a_job(shared: Path, kind: str) -> None:
    traps = [shared / f"cislex-{what}-{os.getuid()}" for what in ("cache", "gpus")]
    for trap in traps:
        TRAPS[kind](trap)
    cache = Path(local_caches()["NUMBA_CACHE_DIR"]).parent
    assert cache.stat().st_uid == os.getuid()
    assert cache.stat().st_mode & 0o077 == 0
    with ExitStack() as stack:
        assert stack.enter_context(claim("cuda", gpus=OneGpu(), environment={})) == "cuda:0"
    assert (shared.parent / "home/.cache/cislex/gpus/GPU-0.lock").is_file(), "all jobs of the user agree"
    assert not list((shared / "elsewhere").iterdir())
    assert cache not in traps


def test_locks_without_any_safe_folder_are_a_named_error(shared: Path) -> None:
    (shared / f"cislex-gpus-{os.getuid()}").write_text("")
    (shared.parent / "home").write_text("no folder")
    with (
        pytest.raises(StorageError, match=r"set TMPDIR .*or name one GPU"),
        claim("cuda", gpus=OneGpu(), environment={}),
    ):
        pass


def test_what_a_killed_job_left_goes_with_the_next_and_what_a_living_one_uses_stays(shared: Path) -> None:
    text = (
        f"import sys, tempfile; tempfile.tempdir = {str(shared)!r}\n"
        "from cislex.files.scratch import scratch_folder\n"
        "with scratch_folder('hits') as folder:\n    print(folder, flush=True); sys.stdin.readline()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    killed, living = (
        subprocess.Popen(
            [sys.executable, "-c", text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(2)
    )
    assert killed.stdout
    assert living.stdout
    left, used = (Path(process.stdout.readline().strip()) for process in (killed, living))
    killed.kill()
    killed.communicate()
    assert left.is_dir()
    with scratch.scratch_folder("hits") as own:
        assert not left.exists()
        assert used.is_dir()
        assert own.stat().st_mode & 0o077 == 0
    assert not own.exists()
    living.communicate("\n")
    assert not used.exists()


def test_a_refusal_is_found_behind_other_errors() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    outer = ValueError("odd")
    outer.__context__ = full
    assert scratch.refusal_in(outer) is full
    assert scratch.refusal_in(ValueError()) is None
    with pytest.raises(StorageError, match="free some space"), scratch.write_errors_named("x"):
        raise full


def test_an_array_has_its_place_on_the_disk_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = scratch_array(tmp_path / "a", (300, 20))
    assert np.isnan(values).all()
    assert (tmp_path / "a").stat().st_blocks * 512 >= values.nbytes
    assert scratch_array(tmp_path / "none", (0, 3)).shape == (0, 3)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match="disk full"):
        scratch_array(tmp_path / "b", (10,))
