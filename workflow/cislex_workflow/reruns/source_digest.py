"""Digest of the code that a rule runs: what changes it reruns the rule, and nothing else does.

From a rule's script the imports of the package are followed, module by module; a name that a package
re-exports is followed to the module that defines it. Of each module the syntax tree is hashed without
comments, docstrings, ``__all__`` and ``__version__``: a comment, a touched file or a fresh clone changes
nothing. Templates beside a module count by their bytes. Plain Python without the package, so that Snakemake
parses the workflow without loading torch.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

#: Files that import by name only what their caller chose, such as a method's executor or a model's loader:
#: rules pass these modules to ``digest``.
DYNAMIC = {
    "cislex/attribution/pipeline.py",
    "cislex/models/loaders/__init__.py",
    "cislex/prediction/inspect.py",
}
#: Modules that carry out each method of the config, as cislex.attribution.pipeline imports them.
EXECUTORS = {
    "saliency": ("gradients.gradients",),
    "tism": ("gradients.gradients",),
    "integrated_gradients": ("gradients.integrated",),
    "expected_gradients": ("gradients.integrated",),
    "ism": ("mutagenesis.ism",),
    "deep_lift_shap": ("deeplift.deeplift", "deeplift.cases", "deeplift.selfcheck", "deeplift.completeness"),
}
#: The same for the inspection, besides those.
INSPECTORS = {"deep_lift_shap": ("deeplift.survey", "deeplift.residuals")}
#: What chooses the number of references.
CHOOSER = "cislex.prediction.reference_choice"
#: Calls that import a module by a name that is computed.
_IMPORTERS = {"import_module", "__import__"}
#: Names at the top of a module that no result depends on.
_UNHASHED = {"__all__", "__version__"}


class UnfollowedImportError(Exception):
    """The package imports a module in a way that the digest cannot follow."""


def digest(scripts: Path, script: str, *, dynamic: Iterable[str] = ()) -> str:
    """Digest of all code that one script can run, 32 hexadecimal digits.

    Parameters
    ----------
    scripts
        Folder of the scripts and of the package.
    script
        Name of the script without ``.py``.
    dynamic
        Modules that are imported by a computed name, such as ``cislex.attribution.deeplift.deeplift``.

    Raises
    ------
    UnfollowedImportError
        When a module imports another in a way that cannot be followed.
    FileNotFoundError
        When there is no such script or module.
    """
    hasher = hashlib.blake2b(digest_size=16)
    for name, found in sorted(reached(scripts, script, dynamic=dynamic).items()):
        hasher.update(f"{name}\0{found}\0".encode())
    return hasher.hexdigest()


def reached(scripts: Path, script: str, *, dynamic: Iterable[str] = ()) -> dict[str, str]:
    """Every module that a script can import, by its dotted name, and the digest of its syntax tree.

    Parameters and errors: see ``digest``. A package that only contains a reached module counts by its own
    statements, not by what it re-exports.
    """
    start = scripts / f"{script}.py"
    found = {script: tree_digest(start)}
    queue = [*_imports(scripts, start, script), *(_module(scripts, name) for name in dynamic)]
    seen: set[str] = set()
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        path = _path(scripts, name)
        if path is None:
            raise FileNotFoundError(f"no module {name} in {scripts}")
        found[name] = tree_digest(path)
        parts = name.split(".")
        for parent in (".".join(parts[:i]) for i in range(1, len(parts))):
            init = scripts.joinpath(*parent.split("."), "__init__.py")
            found.setdefault(parent, tree_digest(init, True))
        queue += _imports(scripts, path, name)
        found.update(_files_in(path.parent))
    return found


@functools.cache
def _files_in(folder: Path) -> dict[str, str]:
    """Templates and other data in the folder of a module, by name, and the digest of their bytes."""
    others = [path for path in folder.iterdir() if path.suffix not in (".py", ".pyc") and path.is_file()]
    return {path.name: hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest() for path in others}


def executors(method: str, script: str, *, automatic: bool = False) -> tuple[str, ...]:
    """Dotted names of the modules with which a script carries out a method of the config.

    ``automatic``: the inspection chooses the number of references.
    """
    inspects = script == "inspect_model"
    more = INSPECTORS.get(method, ()) if inspects else ()
    names = [f"cislex.attribution.{name}" for name in (*EXECUTORS[method], *more)]
    return (*names, CHOOSER) if inspects and automatic else tuple(names)


def loader(name: str) -> str:
    """Dotted name of the module of a loader of the config, as cislex.models.loaders imports it."""
    return f"cislex.models.loaders.{name.replace('-', '_')}"


@functools.cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@functools.cache
def tree_digest(path: Path, without_imports: bool = False) -> str:
    """Digest of a module's syntax tree, the same in every version of Python that parses it alike.

    Parameters
    ----------
    path
        The module's file.
    without_imports
        Leave out the imports at its top.
    """
    body = [
        node
        for node in _parsed(path).body
        if not (_names_assigned(node) & _UNHASHED)
        and not (without_imports and isinstance(node, ast.Import | ast.ImportFrom))
    ]
    text: list[str] = []
    _write(ast.Module(body, []), text)
    return hashlib.blake2b("".join(text).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _names_assigned(node: ast.stmt) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _write(node: object, out: list[str]) -> None:
    """Append a syntax tree as text; empty fields are left out, since newer versions of Python add some."""
    if isinstance(node, ast.AST):
        out.append(f"({type(node).__name__}")
        for name in node._fields:
            value: Any = getattr(node, name, None)
            if name == "body" and isinstance(node, _DOCUMENTED):
                value = _without_docstring(value)
            if value is not None and value != [] and name not in _UNSEEN:
                out.append(f" {name}=")
                _write(value, out)
        out.append(")")
    elif isinstance(node, list):
        out.append("[")
        for item in node:
            _write(item, out)
        out.append("]")
    else:
        out.append(f"{type(node).__name__}:{node!r},")


#: Fields of syntax trees that say nothing or that follow from the others.
_UNSEEN = {"ctx", "kind", "type_comment", "type_ignores"}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
    return body


@functools.cache
def _path(scripts: Path, name: str) -> Path | None:
    """File of a module, or of a package's ``__init__``; None where there is neither."""
    path = scripts.joinpath(*name.split("."))
    for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


def _module(scripts: Path, name: str) -> str:
    if _path(scripts, name) is None:
        raise FileNotFoundError(f"no module {name} in {scripts}")
    return name


@functools.cache
def _imports(scripts: Path, path: Path, module: str) -> tuple[str, ...]:
    """Modules of this project that a module imports, anywhere in it, by dotted name."""
    found: list[str] = []
    for node in _running(_parsed(path)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if _path(scripts, alias.name)]
        elif isinstance(node, ast.ImportFrom):
            package = _package(node, path, module)
            for alias in node.names:
                found += _defining(scripts, package, alias.name)
        elif isinstance(node, ast.Call) and _called(node) in _IMPORTERS:
            found += _imported_by_name(scripts, node, path)
    return tuple(found)


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """A syntax tree's nodes, but for what only type checkers read."""
    waiting = [node]
    while waiting:
        for child in ast.iter_child_nodes(waiting.pop()):
            if (
                isinstance(child, ast.If)
                and isinstance(child.test, ast.Name)
                and child.test.id == "TYPE_CHECKING"
            ):
                continue
            yield child
            waiting.append(child)


def _package(node: ast.ImportFrom, path: Path, module: str) -> str:
    """Dotted name that a ``from … import`` imports from."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    kept = len(parts) - node.level + (path.name == "__init__.py")
    return ".".join([*parts[:kept], *filter(None, [node.module])])


def _defining(scripts: Path, package: str, name: str) -> list[str]:
    """The module in which a name is defined that is imported from a package; none of other projects."""
    path = _path(scripts, package) if package else None
    if path is None:
        return []
    if path.name != "__init__.py":
        return [package]
    for node in _parsed(path).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if name in (alias.asname or alias.name, "*"):
                    return _defining(scripts, _package(node, path, package), alias.name)
    return [f"{package}.{name}" if _path(scripts, f"{package}.{name}") else package]


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _imported_by_name(scripts: Path, node: ast.Call, path: Path) -> list[str]:
    """What ``import_module`` imports; a computed name begins with a module and is followed by the caller."""
    if path.relative_to(scripts).as_posix() in DYNAMIC:
        return []
    argument = node.args[0] if node.args else None
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return [argument.value] if _path(scripts, argument.value) else []
    raise UnfollowedImportError(
        f"{path}, line {node.lineno}: the name of the imported module is computed, so no rule can depend "
        "on its code; import it by name, or add the file to DYNAMIC in "
        "workflow/cislex_workflow/reruns/source_digest.py and name the modules in the rules"
    )
