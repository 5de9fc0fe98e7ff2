"""Programs of ``torch.export.save`` (.pt2), examined before they are loaded: reading one can run code.

``torch.export.load`` unpickles members of the archive without restriction, evaluates the text of symbolic
sizes and of guards as Python, builds source code from names, and loads compiled libraries. So all of these
are compared with the little that a program of PyTorch's own operations needs; what is more than that is
refused unless the user trusts the file.
"""

from __future__ import annotations

import ast
import io
import json
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from cislex.errors import ModelError, offenders
from cislex.models.weights import reading

#: Names of nodes, weights, modules and inputs: they end up in generated source code.
_NAME = re.compile(r"[\w.\-]*", re.ASCII)
#: What a node may call: PyTorch's own operations, control flow between them, and arithmetic on sizes.
_OPERATION = re.compile(
    r"torch\.ops\.(aten|prims|quantized|quantized_decomposed|torchvision)"
    r"\.(?!__)\w+(\.(?!__)\w+)?"
    r"|torch\.ops\.aten\.__(and|or|xor|lshift|rshift)__\.\w+"
    r"|torch\.ops\.higher_order\.(cond|while_loop|scan|associative_scan|map_impl|flex_attention|strict_mode"
    r"|tag_activation_checkpoint|wrap_with_set_grad_enabled|wrap_with_autocast)"
    r"|torch\._?sym_[a-z]\w*|math\.[a-z]\w*"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|pow|pos|abs|and_|or_|not_|lt|le|eq|ne|ge|gt)",
    re.ASCII,
)
#: Operations of PyTorch that write files.
WRITES_FILES = ("save", "from_file")
#: What the text of a symbolic size may call: sympy's printed form, and PyTorch's functions of sizes.
_SYMBOLIC = re.compile(
    r"Symbol|Integer|Float|Rational|Add|Mul|Pow|Mod|Max|Min|Abs|floor|ceiling|Equality|Unequality|Eq|Ne|Ge|Le"
    r"|Gt|Lt|(Strict)?(Greater|Less)Than|And|Or|Not|FloorDiv|ModularIndexing|Where|PythonMod|CleanDiv|CeilDiv"
    r"|(Ceil|Floor|Trunc|Round)ToInt|[LR]Shift|PowByNatural|FloatPow|(Float|Int)TrueDiv|TruncToFloat|RoundDecimal"
    r"|ToFloat|Identity|IsNonOverlappingAndDenseIndicator"
)
_ASSUMPTIONS = ("integer", "positive", "nonnegative", "real", "precision")
#: Containers of inputs and outputs.
_CONTAINERS = (
    "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict", "collections.namedtuple",
)  # fmt: skip
_ARITHMETIC = (
    ast.Expression, ast.Constant, ast.Name, ast.Load, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare,
    ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip


def read_exported(weights: Path, *, trust_pickle: bool = False) -> ExportedProgram:
    """Read a program; without ``trust_pickle`` only one that can run nothing but operations of PyTorch.

    Raises
    ------
    ModelError
        When the file cannot be read, or holds what could run other code.
    """
    with reading(weights):
        found = [] if trust_pickle else list(_dangers(weights))
    if found:
        raise ModelError(
            f"{weights}: loading this program could run code in the file: {offenders(found)}; set "
            "trust_pickle: true if you trust its origin, or export the model again with plain tensors as "
            "example inputs"
        )
    with reading(weights), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This version of file is deprecated")
        return torch.export.load(weights)


def _dangers(weights: Path) -> Iterator[str]:
    """What in the archive could run code, read by the readers that PyTorch uses for the two layouts."""
    with zipfile.ZipFile(weights) as archive:
        names = archive.namelist()
        yield from (f"{name} twice" for name, count in Counter(names).items() if count > 1)
        if "version" in names:  # the layout of PyTorch 2.7 and before
            yield from _members(names, archive.read)
    try:
        reader = torch._C.PyTorchFileReader(str(weights))
    except RuntimeError:
        if "version" not in names:
            raise
    else:
        yield from _members(reader.get_all_records(), reader.get_record)


def _members(names: list[str], read: Callable[[str], bytes]) -> Iterator[str]:
    for name in names:
        folder, _, base = name.rpartition("/")
        if name.startswith("data/aotinductor/") or name.endswith((".so", ".pyd", ".dll")):
            yield f"{name} (a compiled library)"
        elif name.startswith("models/") or base == "serialized_exported_program.json":
            yield from _of_program(json.loads(read(name)), name)
        elif name.endswith("_config.json"):
            yield from _payloads(folder, json.loads(read(name)))
        elif (name.endswith(".pt") or base.startswith("serialized_")) and not _is_plain(read(name)):
            yield f"{name} (a pickle of more than tensors)"


def _is_plain(pickled: bytes) -> bool:
    """Whether a member that ``torch.save`` wrote holds tensors and plain data only."""
    if not pickled:
        return True
    try:
        torch.load(io.BytesIO(pickled), map_location="cpu", weights_only=True)
    except Exception:  # whatever the reader says: torch.export would now read it without restriction
        return False
    return True


def _payloads(folder: str, config: Any) -> Iterator[str]:
    """Weights and constants that are not stored as plain numbers."""
    for name, entry in config["config"].items():
        path = str(entry["path_name"])
        if entry["use_pickle"] or not re.fullmatch(r"(weight|tensor)_\d+", path):
            yield f"{folder}/{path} (a pickle or an object: {name})"


def _of_program(value: Any, key: str) -> Iterator[str]:
    """Texts of a program that would be evaluated, or become source code, and are not of the plain kind."""
    if isinstance(value, dict):
        for name, item in value.items():
            if _is_remark(name, item):
                continue
            if not _NAME.fullmatch(name):
                yield f"a name {name[:60]!r}"
            yield from _of_program(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _of_program(item, key)
    elif isinstance(value, str) and not _is_harmless(key, value):
        yield f"{key} {value[:60]!r}"


def _is_remark(name: str, item: Any) -> bool:
    """Whether an entry says where a node comes from, or is a text of which the quoted form is generated."""
    if name == "metadata":
        return isinstance(item, dict) and all(isinstance(value, str) for value in item.values())
    return name in ("as_string", "torch_version") and isinstance(item, str)


def _is_harmless(key: str, text: str) -> bool:
    match key:
        case "target" | "as_operator":
            return bool(_OPERATION.fullmatch(text)) and not set(text.split(".")) & set(WRITES_FILES)
        case "expr_str":
            return _is_expression(text, _is_symbolic)
        case "guards_code":
            return _is_expression(text, _is_guard)
        case "in_spec" | "out_spec":
            return _is_structure(json.loads(text))
        case "as_strings":
            return True
    return bool(_NAME.fullmatch(text))


def _is_structure(value: Any) -> bool:
    """Whether a description of containers names only Python's own, and plain keys."""
    if isinstance(value, dict):
        kind = value.get("type")
        known = kind is None or kind in _CONTAINERS
        return known and "__enum__" not in value and all(map(_is_structure, value.values()))
    if isinstance(value, list):
        return all(map(_is_structure, value))
    if isinstance(value, str) and value[:1] in '[{"':
        return _is_structure(json.loads(value)) if value else True
    return not isinstance(value, str) or bool(_NAME.fullmatch(value))


def _is_expression(text: str, allowed: Callable[[ast.AST], bool]) -> bool:
    """Whether a text is arithmetic on numbers and on what ``allowed`` says, and so runs nothing else."""
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError):
        return False
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    plain = all(isinstance(node, _ARITHMETIC) or allowed(node) for node in nodes)
    return plain and all(map(_NAME.fullmatch, texts)) and "\n" not in text


def _is_symbolic(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and bool(_SYMBOLIC.fullmatch(node.func.id))
    return isinstance(node, ast.keyword) and node.arg in _ASSUMPTIONS


def _is_guard(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        function = node.func
        if isinstance(function, ast.Name):
            return bool(_SYMBOLIC.fullmatch(function.id))
        return isinstance(function, ast.Attribute) and (
            (function.attr in ("size", "stride", "storage_offset") and not node.args)
            or (isinstance(function.value, ast.Name) and function.value.id == "math")
        )
    if isinstance(node, ast.Attribute):
        return not node.attr.startswith("_")
    return isinstance(node, ast.Subscript)
