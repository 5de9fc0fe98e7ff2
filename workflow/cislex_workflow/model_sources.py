"""Read what the user's Python file of a model defines and imports, without running it.

Plain Python without the package, so that Snakemake parses the workflow without loading torch.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path


def neighbours(path: str) -> list[str]:
    """Files beside a Python file that it imports, and those that these import, sorted.

    The folder of the file is where Python looks first while the model is built, so `import layers` and
    `from blocks.stem import Stem` are read from it. Imports are found anywhere in a file, also in functions;
    those by a computed name (`importlib`) are not seen.

    Parameters
    ----------
    path
        The file; one that is missing or cannot be parsed has no neighbours (its own check tells).

    Returns
    -------
    list of str
        Paths that begin as ``path`` does, without ``path`` itself.
    """
    start = Path(path)
    seen, queue = {start}, [start]
    while queue:
        here = queue.pop()
        for found in _imported(here, start.parent):
            if found not in seen:
                seen.add(found)
                queue.append(found)
    return sorted(str(found) for found in seen - {start})


def _imported(path: Path, top: Path) -> Iterator[Path]:
    tree = _parse(path)
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files(top, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            base = top
            if node.level:  # relative to the package that the file lies in
                if node.level > len(path.relative_to(top).parts):
                    continue
                base = path.parents[node.level - 1]
            names = node.module.split(".") if node.module else []
            yield from _files(base, names)
            for alias in node.names:
                yield from _files(base, [*names, alias.name])


def _files(base: Path, names: list[str]) -> Iterator[Path]:
    """What an import of a dotted name runs below a folder: packages' `__init__.py`, the file at its end."""
    for i in range(1, len(names) + 1):
        stem = base.joinpath(*names[:i])
        # A package goes before a file of its name, as in Python.
        for candidate in (stem / "__init__.py", stem.with_name(stem.name + ".py")):
            if candidate.is_file():
                yield candidate
                break


def _parse(path: Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def defined_names(path: str) -> set[str] | None:
    """Names at the top level of a Python file: definitions, classes, assignments, imports.

    None where reading cannot tell: the file cannot be read, or imports `*`, or makes names as it runs.
    """
    tree = _parse(Path(path))
    if tree is None:
        return None
    names: set[str] = set()
    for node in _top_level(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Name) and node.id in ("globals", "vars", "locals", "exec", "setattr"):
            return None
    return None if names & {"*", "__getattr__"} else names


def defined_callables(path: str) -> list[str]:
    """Functions and classes of the top level, in their order, without those that begin with `_`."""
    tree = _parse(Path(path))
    kinds = ast.FunctionDef | ast.ClassDef
    found = [node.name for node in _top_level(tree) if isinstance(node, kinds)] if tree else []
    return [name for name in dict.fromkeys(found) if not name.startswith("_")]


def _top_level(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run in the file itself, also below `if`, `try` and `with`, but not inside of functions."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from _top_level(node)
