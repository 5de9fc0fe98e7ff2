"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pandas as pd
import pytest
from cislex.errors import InputError, StorageError, offenders
from cislex.files import tables
from cislex.files.temporary import FOREIGN_SECONDS, replace_folder, temporary_folder, temporary_path

ROOT = Path(__file__).resolve().parents[2]


def test_a_finished_write_appears_under_its_name(tmp_path: Path) -> None:
    tables.write_text("text", tmp_path / "deep" / "file.txt")
    assert (tmp_path / "deep" / "file.txt").read_text() == "text"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["file.txt"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    path = tmp_path / "file.txt"
    tables.write_text("old", path)

    def fail() -> None:
        with tables.atomic_path(path) as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(failure):
        fail()
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["table.tsv", "table.tsv.gz"])
def test_a_table_in_parts_reads_as_a_whole_one(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"x": [1, 2, 3], "y": [0.5, 1.25, 2.0]})
    tables.write_table(frame, tmp_path / "whole" / name)
    tables.write_table_parts([frame[:1], frame[1:1], frame[1:]], tmp_path / "parts" / name)
    for folder in ("whole", "parts"):
        path = tmp_path / folder / name
        assert (path.read_bytes()[:2] == b"\x1f\x8b") == name.endswith(".gz")
        pd.testing.assert_frame_equal(pd.read_csv(path, sep="\t"), frame)


def test_an_unwritable_folder_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError, match="cannot write"), tables.atomic_path(tmp_path / "file" / "x.txt"):
        pass


def test_a_full_disk_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="disk full"), tables.atomic_path(tmp_path / "x"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_regions_come_back_as_written(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"chrom": ["a", "b"], "start": [1, 2], "end": [5, 6], "name": ["x", "é"], "strand": ["+", "."]}
    )
    with h5py.File(tmp_path / "r.h5", "w") as handle:
        tables.write_regions(handle, frame)
    with tables.open_hdf5(tmp_path / "r.h5", what="regions") as handle:
        pd.testing.assert_frame_equal(tables.read_regions(handle), frame, check_dtype=False)
        assert tables.read_regions(handle, 1, 2)["name"].tolist() == ["é"]


def test_a_missing_a_broken_and_an_incomplete_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"), tables.open_hdf5(tmp_path / "no.h5", what="chunk"):
        pass
    (tmp_path / "bad.h5").write_bytes(b"not hdf5")
    with pytest.raises(StorageError, match="complete HDF5"), tables.open_hdf5(tmp_path / "bad.h5", what="c"):
        pass
    h5py.File(tmp_path / "empty.h5", "w").close()
    with (
        pytest.raises(StorageError, match="lacks x"),
        tables.open_hdf5(tmp_path / "empty.h5", what="c", datasets=["x"]),
    ):
        pass


def test_offenders_are_counted_and_the_first_named() -> None:
    assert offenders([1, 2]) == "1, 2"
    assert offenders(range(10)) == "0, 1, 2 (10 in all)"


#: A process that is in the middle of a file, and waits.
WRITER = """
import sys, time
from cislex.files.tables import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("of the other process")
    print(temporary.name, flush=True)
    sys.stdin.readline()
"""


def writing(path: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process in the middle of writing ``path``, and its temporary file."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
    )  # fmt: skip
    assert process.stdout is not None
    return process, path.parent / process.stdout.readline().strip()


def test_what_a_killed_process_left_goes_with_the_next_write_and_what_a_living_one_writes_stays(
    tmp_path: Path,
) -> None:
    path = tmp_path / "table.tsv.gz"
    killed, left = writing(path)
    living, busy = writing(path)
    other, of_another_file = writing(tmp_path / "table.tsv")
    for process in (killed, other):
        process.kill()
        process.communicate()
    assert left.name.startswith(".table.tsv.")
    assert left.name.endswith(".tsv.gz")
    assert all(found.is_file() for found in (left, busy, of_another_file))
    tables.write_text("mine", path)
    assert path.read_text() == "mine"
    assert not left.exists()
    assert of_another_file.exists(), "only its own next writer knows that it is no longer needed"
    living.communicate("go on\n")
    assert living.returncode == 0
    assert path.read_text() == "of the other process"
    tables.write_text("mine", tmp_path / "table.tsv")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["table.tsv", "table.tsv.gz"]


def test_what_another_machine_writes_stays_until_nobody_has_touched_it_for_a_week(tmp_path: Path) -> None:
    path = tmp_path / "chunk.h5"
    own = temporary_path(path)
    machine = re.findall(r"\.([0-9a-f]{16})-\d+\.", own.name)[0]
    foreign = own.with_name(own.name.replace(machine, "0" * 16))
    foreign.touch()
    tables.write_text("x", path)
    assert foreign.exists()
    long_ago = time.time() - FOREIGN_SECONDS - 60
    os.utime(foreign, (long_ago, long_ago))
    tables.write_text("x", path)
    assert [found.name for found in tmp_path.iterdir()] == ["chunk.h5"]


def test_a_folder_that_a_killed_process_left_goes_and_other_hidden_files_stay(tmp_path: Path) -> None:
    folder = tmp_path / "logos"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    own = temporary_path(folder)
    left = own.with_name(own.name.replace(f"-{os.getpid()}.", f"-{ended.pid}."))
    left.mkdir()
    (left / "motif.svg").touch()
    others = [tmp_path / name for name in (".logos.notes", ".snakemake_timestamp", left.name + ".partial")]
    for other in others:
        other.touch()
    with temporary_folder(folder) as temporary:
        assert temporary.is_dir()
        assert not left.exists()
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_a_folder_is_replaced_whole_whenever_the_process_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "logos", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
        for name in "ab":
            (folder / name).write_text(folder.name)

    def killed(path: Path, **_: object) -> None:
        next(Path(path).iterdir()).unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        replace_folder(new, old)
    assert [(old / name).read_text() for name in "ab"] == ["new", "new"]
