"""TorchScript programs, examined before they are loaded: they can write files, and loading one may run it."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from cislex.errors import ModelError, offenders
from cislex.models.formats.exported import WRITES_FILES
from cislex.models.weights import reading

#: Names that a program must not use: they write files, or run code on other machines.
DENIED = (*WRITES_FILES, "rpc_async", "rpc_sync", "rpc_remote")
#: Libraries of operations that compute and nothing else.
_LIBRARIES = ("aten", "prim", "quantized", "torchvision")
_DENIED_WORD = re.compile(rf"\b({'|'.join(DENIED)})\b")


def read_torchscript(weights: Path, *, trust_pickle: bool = False) -> nn.Module:
    """Read a program onto the CPU; without ``trust_pickle`` only one that computes and nothing else.

    Raises
    ------
    ModelError
        When the file cannot be read, or its code names an operation that does more than compute.
    """
    with reading(weights):
        found = [] if trust_pickle else list(_dangers(weights))
    if found:
        raise ModelError(
            f"{weights}: this TorchScript program could do more than compute: {offenders(found)}; set "
            "trust_pickle: true if you trust its origin, or use the model's source with loader: factory"
        )
    with reading(weights), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit itself, for torch.export
        return torch.jit.load(str(weights), map_location="cpu")


def _dangers(weights: Path) -> Iterator[str]:
    with weights.open("rb") as handle:
        if handle.read(4) != b"PK\x03\x04":  # other layouts hold no source code that could be examined
            raise ValueError("not a zip archive of torch.jit.save")
    reader = torch._C.PyTorchFileReader(str(weights))
    sources = [name for name in reader.get_all_records() if name.startswith("code/") and name.endswith(".py")]
    if not sources:
        raise ValueError("no code in it: not a program of torch.jit.save")
    for name in sources:
        yield from (f"{what} in {name}" for what in dict.fromkeys(_of_source(reader.get_record(name))))


def _of_source(source: bytes) -> Iterator[str]:
    """What a program's text uses that does more than compute.

    TorchScript's text is Python's syntax; what Python cannot parse is not believed to be harmless.
    """
    try:
        text = source.decode("ascii")
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        yield "code that cannot be examined"
        return
    yield from _DENIED_WORD.findall(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in DENIED:  # getattr(torch, "…"), written in pieces
            yield str(node.value)
    yield from _libraries(tree)


def _libraries(tree: ast.AST) -> Iterator[str]:
    """Libraries of operations and of classes, also under another name, that are not known to only compute."""
    nodes = list(ast.walk(tree))
    known = {id(node.value) for node in nodes if isinstance(node, ast.Attribute) and node.attr in _LIBRARIES}
    for node in nodes:
        if id(node) in known:
            continue
        if isinstance(node, ast.Name) and node.id == "ops":
            yield "a library of operations"
        elif isinstance(node, ast.Attribute) and node.attr == "classes" and _may_be_torch(node.value):
            yield "a library of classes"


def _may_be_torch(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) or ast.unparse(node).endswith(".torch")
