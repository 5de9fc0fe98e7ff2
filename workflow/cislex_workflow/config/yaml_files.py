"""Find what YAML loses or misreads in a config, with the lines.

Snakemake loads ``--configfile`` before this workflow does, and YAML keeps the last of two equal keys: so the
files are read again. Plain Python without the package.

Run: make config CONFIG=my.yaml
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

#: Keeps the lines of nodes; by libyaml, ten times as fast, where it is there.
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
#: Levels of a config, and its values with those that anchors repeat, at most.
MOST_DEPTH, MOST_VALUES = 64, 1_000_000
#: Problems that are told in full.
MOST_TOLD = 8


def problems_of(paths: Iterable[Path], *, numbers: bool = True) -> list[str]:
    """What is lost or misread in some config files, a line each, the first few in full.

    Parameters
    ----------
    paths
        The files.
    numbers
        Whether numbers that YAML reads in base 8 or 60 are told, too.
    """
    found = [problem for path in dict.fromkeys(paths) for problem in problems(path, numbers=numbers)]
    more = [f"… and {len(found) - MOST_TOLD} more"] if len(found) > MOST_TOLD else []
    return found[:MOST_TOLD] + more


def problems(path: Path, *, numbers: bool = True) -> Iterator[str]:
    """What is lost or misread in one config file, a line each."""
    try:
        text = decode(path)
        nodes = compose(text)
        construct(text)
    except FileNotFoundError:
        yield f"no config {path}: correct the name, or start from the minimal config in config/README.md"
    except OSError as error:
        yield f"{path} cannot be read: {error.strerror}"
    except ValueError as error:
        yield f"{path}:{error}"
    else:
        if not isinstance(nodes, yaml.MappingNode):
            yield f"{path}: expected keys at the top level, such as `genome:`; found none"
        else:
            yield from _of_node(nodes, str(path), "the top level", numbers, set())


def decode(path: Path) -> str:
    """Text of a file in UTF-8, with or without a byte-order mark.

    Raises
    ------
    ValueError
        Where it is in another encoding, with the line.
    """
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = f"{data[error.start]:#04x}"
        raise ValueError(
            f"{line}: not UTF-8 text (byte {byte}; Latin-1 or UTF-16?): save the file as UTF-8"
        ) from None


def compose(text: str) -> yaml.Node | None:
    """Nodes of a text in YAML, or in JSON, which may be indented with tabs.

    Raises
    ------
    ValueError
        Where it is neither, with the line.
    """
    text = _as_yaml(text)
    with _faults_named():
        deep = _too_deep(text)
        nodes = None if deep else yaml.compose(text, Loader=Loader)
    if deep:
        raise ValueError(f"{deep}: not YAML: nested more than {MOST_DEPTH} deep")
    if nodes is not None and (values := _values(nodes, {})) > MOST_VALUES:
        raise ValueError(
            f" the anchors stand for {values:.3g} values in all, more than {MOST_VALUES:,}: write out what "
            "is needed"
        )
    return nodes


def _too_deep(text: str) -> int:
    """The line on which a text is nested too deep; 0 where it is not."""
    depth = 0
    for event in yaml.parse(text, Loader=Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            return event.start_mark.line + 1 if event.start_mark else 1
    return 0


def _values(node: yaml.Node, known: dict[int, int]) -> int:
    """Values below a node, those of aliases as often as they are named."""
    if known.get(id(node)) == 0:
        raise ValueError(f"{node.start_mark.line + 1}: an anchor stands within what it names; write it out")
    if id(node) not in known:
        known[id(node)] = 0
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        parts = (part for child in children for part in (child if isinstance(child, tuple) else (child,)))
        known[id(node)] = 1 + sum(_values(part, known) for part in parts)
    return known[id(node)]


def construct(text: str) -> Any:
    """What a text in YAML or JSON stands for.

    Raises
    ------
    ValueError
        Where it is neither, or names what cannot be (a key that is a list, the 31st of February).
    """
    with _faults_named():
        return yaml.load(_as_yaml(text), Loader=Loader)


@contextmanager
def _faults_named() -> Iterator[None]:
    try:
        yield
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ValueError(f"{line}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ValueError(f" not YAML: {str(error).splitlines()[0]}") from None
    except ValueError as error:  # such as a date that there is not
        raise ValueError(f" not YAML: {error}; put texts that look like dates into quotes") from None


def _as_yaml(text: str) -> str:
    """JSON with blanks for the tabs between its values, in which it writes \\t; other texts as they are."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text.replace("\t", " ")


def load(text: str) -> Any:
    """Read a short text in YAML, such as a cell of a sheet; a key given twice is an error.

    Raises
    ------
    ValueError
        Where it is not YAML, or a key is lost.
    """
    node = compose(text)
    lost = list(_of_node(node, "", "the text", False, set())) if node else []
    if lost:
        raise ValueError(lost[0].removeprefix(": "))
    return construct(text)


def _of_node(node: yaml.Node, path: str, where: str, numbers: bool, seen: set[int]) -> Iterator[str]:
    """Problems below a node; one that several aliases share is looked at once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        if numbers:
            yield from _of_number(node, path)
    elif isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            yield from _of_node(entry, path, where, numbers, seen)
    elif isinstance(node, yaml.MappingNode):
        yield from _of_mapping(node, path, where, numbers, seen)


def _of_mapping(
    node: yaml.MappingNode, path: str, where: str, numbers: bool, seen: set[int]
) -> Iterator[str]:
    lines: dict[tuple[str, str], list[int]] = defaultdict(list)
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
            lines[key.tag, key.value].append(key.start_mark.line + 1)
    for (_, name), found in lines.items():
        if len(found) > 1:
            times = "twice" if len(found) == 2 else f"{len(found)} times"
            found_on = f"lines {', '.join(map(str, found[:-1]))} and {found[-1]}"
            found_on = found_on if len(set(found)) > 1 else f"line {found[0]}"
            yield (
                f"{path}: '{name}' is given {times} in {where} ({found_on}), and YAML keeps only the last: "
                "rename or remove one"
            )
    for key, value in node.value:
        yield from _of_node(key, path, where, numbers, seen)
        inside = f"{where}.{key.value}" if where != "the top level" else str(key.value)
        yield from _of_node(value, path, inside, numbers, seen)


def _of_number(node: yaml.ScalarNode, path: str) -> Iterator[str]:
    """Numbers that YAML 1.1 reads in base 8 (010) or 60 (1:30)."""
    text = node.value
    if node.style in ("'", '"', "|", ">") or node.tag not in _NUMBERS:
        return
    octal = re.fullmatch(r"[-+]?0[0-7_]+", text) is not None
    if octal or ":" in text:
        value = yaml.load(text, Loader=Loader)
        base, plain = ("8", text.lstrip("-+0_") or "0") if octal else ("60", value)
        yield (
            f"{path}:{node.start_mark.line + 1}: YAML reads {text} as {value} (base {base}): write "
            f'{plain}, or "{text}" if it is text'
        )


if __name__ == "__main__":
    found_on = problems_of(map(Path, sys.argv[1:]))
    print(*found_on, sep="\n", end="\n" if found_on else "", file=sys.stderr)
    sys.exit(bool(found_on))
