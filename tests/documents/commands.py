"""Commands that documents show, and the texts that the code can say."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Every document that is kept under version control, the site's included; the changelog tells of the past.
DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "config").glob("*.md")]
    if path.name != "CHANGELOG.md"
)
SHELL = re.compile(r"^ *```bash\n(.*?)^ *```", re.M | re.S)
SPAN = re.compile(r"`([^`\n]+)`")
#: First words by which a code span is known as a command.
PROGRAMS = ("make", "python", "python3", "pip", "snakemake", "pytest")
OPTION = re.compile(r"^--[a-z][a-z-]*$")


def blocks(text: str) -> Iterator[str]:
    """Logical lines of the shell blocks of a document, without comments."""
    for block in SHELL.findall(text):
        block = re.sub(r"<<'(\w+)'\n.*?\n *\1\n", "\n", block, flags=re.S).replace("\\\n", " ")
        for line in block.splitlines():
            line = re.sub(r"(^|\s)#.*", "", line).strip()
            if line:
                yield line


def commands(path: Path) -> list[list[str]]:
    """Commands of a document, in words: of its shell blocks, and code spans that begin with a program."""
    text = path.read_text(encoding="utf-8")
    found = [words for line in blocks(text) for part in re.split(r"&&|\||;", line) if (words := split(part))]
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S)
    prose = prose.replace("\n", " ") if path.name != "README.md" else prose
    for span in SPAN.findall(prose):
        words = split(span)
        bare = words[0].removeprefix(".venv/bin/") if words else ""
        if bare in PROGRAMS and len(words) > 1:
            found.append(words)
    return found


def split(line: str) -> list[str]:
    """Words of a command, without assignments of variables before it."""
    try:
        words = shlex.split(line)
    except ValueError:
        return []
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    return words


def make_targets() -> set[str]:
    """Targets of the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):(?!=)", text, re.M))


def problem(words: list[str]) -> str | None:
    """What is wrong with a command, or None."""
    program, arguments = words[0], words[1:]
    if program in ("python", "python3", "snakemake", "pytest") or (
        program == "pip" and "install" not in words
    ):
        return f"a bare {program} lacks the packages: write .venv/bin/{program}"
    if program == "make":
        targets = [word for word in arguments if not word.startswith("-") and "=" not in word and word != "…"]
        unknown = [word for word in targets if word not in make_targets()]
        return f"no target {', '.join(unknown)} in the Makefile" if unknown else None
    folder = re.match(r"(\"?\$CISLEX\"?/|/path/to/cislex/)?\.venv/bin/(\w+)$", program)
    if folder and folder[2] == "python" and arguments:
        return of_python([word.replace("$CISLEX/", "") for word in arguments])
    if folder and folder[2] == "snakemake":
        named = [word for word in arguments if word.startswith(("config/", "profiles/"))]
        missing = [word for word in named if not (ROOT / word).exists() and "mysite" not in word]
        return f"no file {', '.join(missing)}" if missing else None
    return None


def of_python(arguments: list[str]) -> str | None:
    """Whether a program of the repository is there and knows its options."""
    if arguments[0].startswith(("-", "…")):
        return None
    source = ROOT / arguments[0]
    if not source.is_file():
        return f"no file {arguments[0]}"
    text = source.read_text(encoding="utf-8")
    options = [word.split("=")[0] for word in arguments[1:] if OPTION.match(word.split("=")[0])]
    unknown = [word for word in options if f'"{word}"' not in text and word != "--help"]
    return f"{arguments[0]} has no option {', '.join(unknown)}" if unknown else None


def said() -> list[list[str]]:
    """Texts in the code, as the constant parts between what is filled in."""
    texts = []
    for folder in ("scripts", "workflow"):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            inside = {
                id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
            }
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
                    texts.append([node.value])
                elif isinstance(node, ast.JoinedStr):
                    parts = [""]
                    for value in node.values:
                        if isinstance(value, ast.Constant):
                            parts[-1] += str(value.value)
                        else:
                            parts.append("")
                    texts.append(parts)
    return texts


def can_be_said(quoted: str, texts: list[list[str]]) -> bool:
    """Whether a text with ``…`` for what is filled in is (part of) one that the code can say."""
    wanted = re.compile(".*?".join(map(re.escape, quoted.split("…"))), re.S)
    return any(wanted.search("\0".join(parts)) for parts in texts)
