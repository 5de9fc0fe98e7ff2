"""Read MEME files in all common variants; errors name the line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cislex.alphabet import BASES
from cislex.errors import InputError, offenders
from cislex.files.compressed import read_lines
from cislex.logs import get_logger
from cislex.wording import counted

#: Sites of a motif whose file does not tell their number, as in MEME's own programs.
DEFAULT_SITES = 20
#: Matrices of one identifier are the same motif if no frequency differs by more than this.
SAME = 1e-5
_MATRIX = re.compile(r"letter-probability matrix\b", re.IGNORECASE)
#: "Motif 1 sites sorted by …" of MEME's own output is no beginning of a motif.
_MOTIF = re.compile(r"(?:MOTIF|motif)(?=\s|$)")
_VERSION = re.compile(r"MEME version\b", re.IGNORECASE)
_ALPHABET = re.compile(r"ALPHABET\s*=\s*([A-Za-z]+)\s*$", re.IGNORECASE)
_ROW = re.compile(r"[-+.]*\d")

#: Identifier, name, base frequencies float64 (4, w), number of sites.
Parsed = tuple[str, str, NDArray[np.float64], int]
logger = get_logger("meme_files")


def parse_meme(path: str | Path) -> list[Parsed]:
    """Read the motifs of a MEME file (DNA): minimal format of any version, or MEME's own text output.

    It may be gzipped, UTF-8 (with a byte-order mark, too) or Latin-1, with any kind of line end, tabs,
    indented lines, and empty ones around a matrix. Header lines other than the version may be missing. A
    number of sites that is none (``NA``) or 0 is 20. Rows of counts (whole numbers) become frequencies. A
    motif that is repeated with its identifier and its matrix is read once.

    Raises
    ------
    InputError
        When it is not a MEME file, its alphabet is not DNA, a matrix is not DNA frequencies (by line), or
        different matrices have one identifier.
    """
    text = read_lines(path, what="motif database", expected="a MEME file")
    lines = [line.strip() for line in text]
    if not any(_VERSION.match(line) for line in lines):
        raise InputError(f"{path} is not a MEME file: it has no line 'MEME version …'")
    order = _base_order(lines, path)
    motifs: list[Parsed] = []
    number = 0
    while number < len(lines):
        words = lines[number].split()
        number += 1
        if not words or not _MOTIF.match(lines[number - 1]):
            continue
        if len(words) < 2:
            raise InputError(f"{path}:{number}: a MOTIF line without an identifier")
        motif, number = _read_matrix(lines, number, path, words, order)
        motifs.append(motif)
    return _without_copies(motifs, path)


def _base_order(lines: list[str], path: str | Path) -> list[int]:
    """Columns of A, C, G and T in the file's matrices."""
    for number, line in enumerate(lines, start=1):
        found = _ALPHABET.match(line)
        if found is None:
            continue
        letters = found[1].upper().replace("U", "T")
        if sorted(letters) != sorted(BASES):
            raise InputError(f"{path}:{number}: the alphabet is {found[1]}; expected DNA ({BASES})")
        return [letters.index(base) for base in BASES]
    return list(range(len(BASES)))


def _without_copies(motifs: list[Parsed], path: str | Path) -> list[Parsed]:
    """Each motif once; one identifier for two different matrices is an error."""
    first: dict[str, Parsed] = {}
    copies, repeated = 0, []
    for motif in motifs:
        held = first.setdefault(motif[0], motif)
        if held is motif:
            continue
        if held[2].shape == motif[2].shape and np.abs(held[2] - motif[2]).max() <= SAME:
            copies += 1
        else:
            repeated.append(motif[0])
    if repeated:
        names = list(dict.fromkeys(repeated))
        raise InputError(
            f"{path}: different motifs have the same identifier: {offenders(names)}; give each motif an "
            "identifier of its own"
        )
    if copies:
        logger.warning(
            "%s: %s repeated with the same identifier and matrix; read once", path, counted(copies, "motif")
        )
    return list(first.values())


def _read_matrix(
    lines: list[str], number: int, path: str | Path, words: list[str], order: list[int]
) -> tuple[Parsed, int]:
    """The matrix that follows a MOTIF line, and the number of the line after it."""
    where = f"{path}:{number}"
    while number < len(lines) and not _MATRIX.match(lines[number]) and not _MOTIF.match(lines[number]):
        number += 1
    if number == len(lines) or not _MATRIX.match(lines[number]):
        raise InputError(f"{where}: motif {words[1]} has no letter-probability matrix")
    fields = {key.lower(): value for key, value in re.findall(r"(\w+)=\s*(\S+)", lines[number])}
    number += 1
    header = number
    while number < len(lines) and not lines[number]:
        number += 1
    rows: list[list[float]] = []
    while number < len(lines) and _ROW.match(lines[number]):
        number += 1
        rows.append(_row(lines[number - 1], f"{path}:{number}: motif {words[1]}"))
    width = _count(fields, "w", len(rows), f"{path}:{header}")
    if not rows or len(rows) != width:
        raise InputError(
            f"{path}:{header}: motif {words[1]} has {len(rows)} rows; expected {fields.get('w', 'some')} (w=)"
        )
    values = np.array(rows)[:, order]
    total = values.sum(axis=1)
    # Whole rows that sum to more than 1 are counts, and then all of the matrix is.
    counted = round(float(total.max())) if total.max() >= 2 else 0
    if counted and (values % 1).any():
        worst = int(total.argmax())
        raise InputError(
            f"{path}:{header + 1 + worst}: motif {words[1]}: found frequencies and {rows[worst]}; expected "
            "only frequencies summing to 1, or only counts"
        )
    sites = _count(fields, "nsites", counted or DEFAULT_SITES, f"{path}:{header}") or DEFAULT_SITES
    return (words[1], _name(words), values.T / total, sites), number


def _name(words: list[str]) -> str:
    """The name on a MOTIF line; MEME's own output has ``width =`` there."""
    return words[2] if len(words) > 2 and not words[2].lower().startswith("width") else words[1]


def _row(line: str, where: str) -> list[float]:
    """Four frequencies that sum to 1, or four counts."""
    try:
        row = [float(cell) for cell in line.split()]
    except ValueError:
        row = []
    found = f"{where}: found {line!r}"
    if len(row) != len(BASES):
        raise InputError(f"{found}; expected four numbers")
    counts = sum(row) >= 2 and not any(value % 1 for value in row)
    if min(row) < 0 or not (counts or abs(sum(row) - 1) <= 0.02):
        raise InputError(f"{found}; expected frequencies summing to 1, or whole counts")
    return row


def _count(fields: dict[str, str], key: str, default: int, where: str) -> int:
    """A whole number of a matrix's header; the default where it is not given."""
    text = fields.get(key, "")
    if text.lower() in ("", "na", "nan", "n/a", ".", "?", "none") or text.endswith("="):
        return default
    try:
        return round(float(text))
    except (ValueError, OverflowError):
        raise InputError(f"{where}: {key}= {text} is not a number") from None
