"""Check by content, from records next to them, whether results match their inputs and settings.

A record keeps, for a job that finished, its settings (the digest of its code among them) and the digests of
its inputs and its outputs. Records travel with the results, and dates play no part: an input of an older date
is noticed, a touched one is not. Plain Python without the package, so that Snakemake plans without loading
torch.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Bytes read at once.
BLOCK = 1 << 22
#: Characters of a value that messages show, and differences that are named of one job.
SHOWN, MOST_NAMED = 60, 4
#: Outputs that are verified: not tables, which people annotate by hand.
VERIFIED = (".h5", ".pt", ".bw", ".bed", ".gz", ".json", ".fa", ".meme")
#: Lines of a file of records, for each record that is in force, above which it is rewritten.
MOST_LINES = 4


class Digests:
    """Digests of the contents of files; a file is read again only when its size, time or inode changed.

    Parameters
    ----------
    path
        The JSON file that keeps them; one that cannot be read counts as empty.
    names
        How paths are called in it.
    """

    def __init__(self, path: Path, names: Names) -> None:
        self._path, self._names = path, names
        self._known: dict[str, list[Any]] = {}
        self._changed = False
        with suppress(OSError, ValueError):
            self._known = dict(json.loads(path.read_text(encoding="utf-8")))

    def of(self, path: str) -> str | None:
        """BLAKE2b-128 hex digest of a file; None for a folder, or where there is none."""
        try:
            status = os.stat(path)
            if not os.path.isfile(path):
                return None
            state = [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
            name = self._names.portable(path)
            known = self._known.get(name)
            if known is None or known[:-1] != state:
                self._known[name] = known = [*state, digest_file(path)]
                self._changed = True
        except OSError:
            return None
        return str(known[-1])

    def save(self) -> None:
        """Keep them, where there is a folder for them."""
        if self._changed and self._path.parent.is_dir():
            with suppress(OSError):
                write_whole(self._path, json.dumps(self._known))
                self._changed = False


@dataclass(frozen=True)
class Names:
    """Paths as records call them, so that results may move: ``{results}`` and ``{project}`` are folders.

    Parameters
    ----------
    results, project
        The two folders, as the config and the workflow spell them.
    """

    results: str
    project: str

    def portable(self, path: str) -> str:
        """A path, or any other text, with placeholders for the folders that it begins with."""
        for name, folder in (("results", self.results), ("project", self.project)):
            if path == folder or path.startswith(folder + "/"):
                return f"{{{name}}}{path[len(folder) :]}"
        return path

    def local(self, name: str) -> str:
        """The path of a name."""
        for key, folder in (("results", self.results), ("project", self.project)):
            if name.startswith(f"{{{key}}}"):
                return folder + name[len(key) + 2 :]
        return name

    def settings(self, value: Any) -> Any:
        """Settings as JSON keeps them, with portable paths."""
        if isinstance(value, str):
            return self.portable(value)
        if isinstance(value, Mapping):
            return {str(key): self.settings(item) for key, item in value.items()}
        if isinstance(value, list | tuple | range):
            return [self.settings(item) for item in value]
        return value if value is None or isinstance(value, bool | int | float) else str(value)


@dataclass
class Record:
    """What one job was made from.

    Parameters
    ----------
    params
        Its settings, of plain values.
    inputs, outputs
        Digest of each file by its portable name; None for a folder.
    """

    params: dict[str, Any]
    inputs: dict[str, str | None]
    outputs: dict[str, str | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The first output, by which a record is found."""
        return next(iter(self.outputs))


class Records:
    """Records of the jobs of a results folder: a file to which lines are added; the last of a name counts.

    Parameters
    ----------
    path
        The file. A last line that was cut off is ignored.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._params: dict[str, Any] = {}
        self._found: dict[str, Record] = {}
        lines, line = 0, ""
        with suppress(OSError), path.open(encoding="utf-8", errors="replace") as handle:
            for line in handle:
                lines += 1
                with suppress(ValueError, KeyError, TypeError, StopIteration):
                    self._read(json.loads(line))
        self._cut = bool(line) and not line.endswith("\n")
        self._long = lines > MOST_LINES * (len(self._found) + len(self._params) + 10)

    def _read(self, entry: dict[str, Any]) -> None:
        if "value" in entry:
            self._params[entry["params"]] = entry["value"]
            return
        record = Record(self._params[entry["params"]], entry["inputs"], entry["outputs"])
        self._found[record.name] = record

    def __iter__(self) -> Iterator[Record]:
        return iter(self._found.values())

    def get(self, name: str) -> Record | None:
        """The record of a first output."""
        return self._found.get(name)

    def add(self, record: Record) -> None:
        """Keep the record of a job that has finished."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._found[record.name] = record
        if self._long:
            self._long, self._cut, self._params = False, False, {}
            lines = [line for entry in self for line in self._lines(entry)]
            write_whole(self._path, "".join(lines))
            return
        with self._path.open("a", encoding="utf-8") as handle:
            handle.write("\n" * self._cut + "".join(self._lines(record)))
        self._cut = False

    def _lines(self, record: Record) -> Iterator[str]:
        text = json.dumps(record.params)
        key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        if key not in self._params:  # jobs of one rule share most settings
            self._params[key] = record.params
            yield json.dumps({"params": key, "value": record.params}) + "\n"
        yield json.dumps({"params": key, "inputs": record.inputs, "outputs": record.outputs}) + "\n"


def differences(record: Record, now: Record, *, names: Names) -> list[str]:
    """What a job was made from and would not be made from now, a phrase each.

    Parameters
    ----------
    record
        Of the job that made the outputs that are there.
    now
        The same of today; inputs without a digest are still to be made and are not compared.
    names
        How files are called.
    """
    found = [
        f"its content differs from what its job wrote ({names.local(name)})"
        for name, digest in record.outputs.items()
        if digest is not None and now.outputs.get(name) not in (None, digest) and name.endswith(VERIFIED)
    ]
    for name in {**record.inputs, **now.inputs}:
        before, after = record.inputs.get(name), now.inputs.get(name)
        if name not in record.inputs:
            found.append(f"{names.local(name)} is now an input")
        elif name not in now.inputs:
            found.append(f"{names.local(name)} is no longer an input")
        elif None not in (before, after) and before != after:
            found.append(f"the content of {names.local(name)} changed")
    if json.dumps(record.params) != json.dumps(now.params):
        found += list(_changes(record.params, now.params, "")) or ["the order of its settings changed"]
    return found


def _changes(old: Any, new: Any, key: str) -> Iterator[str]:
    """Settings that differ, each with its key."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in {**old, **new}:
            where = f"{key}.{name}" if key else name
            if name not in old:
                yield f"{where} is new: {_short(new[name])}"
            elif name not in new:
                yield f"{where} was removed: {_short(old[name])}"
            else:
                yield from _changes(old[name], new[name], where)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _changes(before, after, f"{key}[{i}]")
    elif old != new:
        if key in ("code", "attribution_code"):
            yield f"the {key.replace('_', ' ')} changed"
        else:
            yield f"{key} was {_short(old)}, is {_short(new)}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def phrase(found: Sequence[str]) -> str:
    """A few differences as one text."""
    more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return "; ".join(found[:MOST_NAMED]) + more


def digest_file(path: str | Path) -> str:
    """BLAKE2b-128 hex digest of a file's bytes."""
    hasher = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as handle:
        while block := handle.read(BLOCK):
            hasher.update(block)
    return hasher.hexdigest()


def digest_folder(path: str | Path) -> str:
    """BLAKE2b-128 hex digest of the names and contents of all files below a folder."""
    hasher = hashlib.blake2b(digest_size=16)
    for found in sorted(Path(path).rglob("*")):
        if found.is_file():
            name = found.relative_to(path).as_posix()
            hasher.update(f"{name}\0{digest_file(found)}\n".encode())
    return hasher.hexdigest()


def write_whole(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
