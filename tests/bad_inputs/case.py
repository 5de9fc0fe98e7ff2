"""Rows of the tables of bad input: the fault, how the file is made, what the user must read, and when."""

from __future__ import annotations

import copy
import functools
import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from bgzip import write_bgzip
from cislex_workflow.checks import before_start
from cislex_workflow.config import configuration

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"

#: The config is refused before the first job, or a job fails.
When = Literal["plan", "job"]
#: What a file holds: text (UTF-8), bytes, or a function that makes it.
Content = str | bytes | Callable[[Path], object]


@dataclass(frozen=True)
class Bad:
    """A file or config that is refused with one error."""

    fault: str
    content: Any
    #: Parts of the error, in any order.
    told: tuple[str, ...]
    when: When = "plan"
    name: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.fault


@dataclass(frozen=True)
class Good:
    """A file that looks odd and is read: how many rows are kept, and dropped for which reasons."""

    form: str
    content: Any
    kept: int
    dropped: dict[str, int] = field(default_factory=dict)
    name: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.form


def bad(
    fault: str, content: Any, *told: str, when: When = "plan", name: str | None = None, **options: Any
) -> Bad:
    """A row of a table."""
    return Bad(fault, content, told, when, name, options)


def write(path: Path, content: Content) -> Path:
    """Make the file of a row."""
    if callable(content):
        content(path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def packed(text: str | bytes) -> bytes:
    """The same compressed by gzip."""
    return gzip.compress(text.encode() if isinstance(text, str) else text)


def blocked(text: str, *, cut: int = 0) -> Callable[[Path], object]:
    """The same compressed by bgzip, perhaps without its last bytes."""

    def make(path: Path) -> None:
        write_bgzip(path, text)
        path.write_bytes(path.read_bytes()[: -cut or None])

    return make


def folder(path: Path) -> None:
    """A folder in place of the file."""
    path.mkdir()


def letters(length: int, seed: int = 0) -> str:
    """Random DNA."""
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length))


def genome() -> str:
    """Two chromosomes of 400 and 200 bp."""
    return f">chr1\n{letters(400, 1)}\n>chr2\n{letters(200, 2)}\n"


def minimal() -> dict[str, Any]:
    """A config whose files ``project`` writes."""
    return {
        "results": "results",
        "genome": {"fasta": "genome.fa"},
        "regions": {"mine": {"peaks": "peaks.bed"}},
        "models": {
            "net": {
                "loader": "factory", "module": "model.py:build", "input_length": 40, "folds": {"f0": "f0.pt"},
            }
        },
        "analyses": {
            "first": {
                "regions": "mine", "model": "net", "motifs": None,
                "targets": {"t": {"kind": "output", "index": 0}},
            }
        },
    }  # fmt: skip


def project(where: Path) -> Path:
    """A folder with everything that ``minimal`` names, in which nothing is wrong."""
    (where / "genome.fa").write_text(genome())
    (where / "peaks.bed").write_text("chr1\t100\t120\nchr2\t60\t70\n")
    (where / "model.py").write_text("def build():\n    return None\n")
    (where / "f0.pt").write_bytes(b"PK\3\4 weights")
    return where


@functools.cache
def _resolved(text: str) -> dict[str, Any]:
    return configuration.resolve(yaml.safe_load(text), SCHEMA)


def resolved(config: dict[str, Any]) -> dict[str, Any]:
    """The complete config."""
    return copy.deepcopy(_resolved(yaml.safe_dump(config)))


def plan(where: Path, config: dict[str, Any]) -> str:
    """What is said before the first job of a run in a folder; nothing where it starts."""
    return before_start.refusal(config, where) or ""


def unfinished(results: Path) -> list[str]:
    """Files below a results folder, which a stage that failed must not leave."""
    return sorted(str(path.relative_to(results)) for path in results.rglob("*") if path.is_file())


@contextmanager
def unreadable(path: Path) -> Iterator[bool]:
    """Take away the permission to read, from root, too; whether that worked.

    Root may read everything by a capability of its process (CAP_DAC_OVERRIDE), which is put off meanwhile.
    """
    path.chmod(0)
    with _without_override():
        try:
            path.open("rb").close()
            works = False
        except PermissionError:
            works = True
        yield works
    path.chmod(0o600)


@contextmanager
def _without_override() -> Iterator[None]:
    import ctypes

    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    before, after = (ctypes.c_uint32 * 6)(), (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    with suppress(AttributeError):
        libc.capget(header, before)
        after[:] = list(before)
        after[0] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH of the effective ones
        libc.capset(header, after)
    try:
        yield
    finally:
        with suppress(AttributeError):
            libc.capset(header, before)
