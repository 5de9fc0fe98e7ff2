"""Whether MEME files that the config names can be read, and whose motifs have names of their own.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cislex_workflow.checks import text_files
from cislex_workflow.checks.input_files import meme_files

#: Bytes in which a MEME file must say that it is one.
HEAD = 1 << 20
#: Longer files are left to the job.
MOST_LINES = 200_000
#: Matrices of one identifier are the same motif if no frequency differs by more, as in cislex.motifs.
SAME = 1e-5
_MEME = re.compile(rb"^(\xef\xbb\xbf)?\s*MEME version\b", re.IGNORECASE | re.MULTILINE)
_MOTIF = re.compile(r"(?:MOTIF|motif)\s+(\S+)")
_MATRIX = re.compile(r"letter-probability matrix\b.*?(?:\bw=\s*(\d+)|$)", re.IGNORECASE)
_ROW = re.compile(r"[-+.]*\d")


class Motif(NamedTuple):
    """A motif of a MEME file: its identifier, width in bp (0 if not told) and rows of numbers."""

    identifier: str
    width: int
    rows: tuple[tuple[float, ...], ...]


def problems(config: dict[str, Any], folder: Path) -> Iterator[str]:
    """A line for each MEME file that no job could read, or that does not fit the experiment it is for.

    Parameters
    ----------
    config
        The complete config, paths filled in.
    folder
        The folder in which relative paths start.
    """
    named = [
        (f"analyses.{name}.{part}", path)
        for name, analysis in config["analyses"].items()
        for part, path in meme_files(analysis)
    ]
    of_file = functools.cache(lambda path: list(_of_file(path, folder)))  # many analyses may name one
    for key, path in dict.fromkeys(named):
        yield from (f"{key}: {path} {problem}" for problem in of_file(path))
    for name, settings in config["insertions"].items():
        if settings["meme"] is not None:
            analysis = config["analyses"][settings["analysis"]]
            length = config["models"][analysis["model"]]["input_length"]
            wrong = of_file(settings["meme"])
            yield from (f"insertions.{name}.meme: {settings['meme']} {problem}" for problem in wrong)
            if not wrong:
                yield from of_insertion(f"insertions.{name}", settings, length, folder)


def _of_file(path: str, folder: Path) -> Iterator[str]:
    """A file that is one, with motifs, each with an identifier of its own."""
    head = text_files.start(folder / path, HEAD)
    if head is not None and not _MEME.search(head):
        yield "is not a MEME file: it has no line 'MEME version …'"
        return
    found = motifs(folder / path)
    if found is None:
        return
    if not found:
        yield "contains no motifs: it has no line 'MOTIF …'"
    first: dict[str, Motif] = {}
    twice = [m.identifier for m in found if not _same(first.setdefault(m.identifier, m), m)]
    if twice:
        yield (
            f"has different motifs with the same identifier: {_listed(twice)}; give each motif an identifier "
            "of its own"
        )


def of_insertion(key: str, settings: dict[str, Any], length: int, folder: Path) -> Iterator[str]:
    """Motifs that fit into the sequences, under names that the strings of the experiment have not."""
    path = settings["meme"]
    found = motifs(folder / path) or []
    wide = [f"{motif.identifier} ({motif.width} bp)" for motif in found if motif.width > length]
    if wide:
        more = f" ({len(wide)} motifs are)" if len(wide) > 1 else ""
        yield f"{key}.meme: {path}: {wide[0]} is longer than the sequences of {length} bp{more}"
    taken = [name for name in settings["motifs"] if name in {motif.identifier for motif in found}]
    if taken:
        yield f"{key}.motifs: {_listed(taken)} is also the identifier of a motif of {path}; rename one"


def motifs(path: Path) -> list[Motif] | None:
    """Motifs of a MEME file; None where it cannot be read, or is too long to be read for a plan."""
    text = text_files.whole(path, most=MOST_LINES)
    if text is None:
        return None
    found: list[Motif] = []
    inside = False
    for line in map(str.strip, text):
        if named := _MOTIF.match(line):
            found.append(Motif(named[1], 0, ()))
            inside = False
        elif matrix := _MATRIX.match(line):
            inside = bool(found)
            if inside:
                found[-1] = found[-1]._replace(width=int(matrix[1] or 0))
        elif inside and _ROW.match(line):
            found[-1] = found[-1]._replace(rows=(*found[-1].rows, _numbers(line)))
        elif line or (found and found[-1].rows):
            inside = False
    return found


def _numbers(line: str) -> tuple[float, ...]:
    """Frequencies of a row; nothing where it is none, which the job tells with its line."""
    try:
        row = [float(cell) for cell in line.split()]
    except ValueError:
        return ()
    total = sum(row)
    return tuple(value / total for value in row) if total > 0 else ()


def _same(one: Motif, other: Motif) -> bool:
    return len(one.rows) == len(other.rows) and all(
        len(a) == len(b) and all(abs(x - y) <= SAME for x, y in zip(a, b, strict=True))
        for a, b in zip(one.rows, other.rows, strict=True)
    )


def _listed(names: list[str]) -> str:
    """The first names, and how many there are."""
    names = list(dict.fromkeys(names))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
