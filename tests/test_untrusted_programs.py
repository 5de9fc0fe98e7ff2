"""Programs from strangers: no file of torch.export or TorchScript runs code or writes unasked."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cislex.errors import ModelError
from cislex.models.formats.torchscript import DENIED, _of_source
from cislex.models.loading import load_model
from torch import Tensor, nn
from torch.export.pt2_archive._package import PT2ArchiveWriter

SYMBOL = b"Symbol('s77', positive=True, integer=True)"


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.dense = nn.Conv1d(4, 3, 5), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(self.conv(x).relu().mean(-1))


class Writing(nn.Module):
    """Writes a file when it is called."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: Tensor) -> Tensor:
        torch.save(x, self.path)
        return x.mean(-1)


class Mapping(Writing):
    """Makes a file when it is called."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(-1) + torch.from_file(self.path, True, 4)[0]


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> Any:
        return eval, (self.code,)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "w.pt2"
    rows = {"x": {0: torch.export.Dim("batch")}}
    torch.export.save(torch.export.export(Net().eval(), (torch.zeros(2, 4, 60),), dynamic_shapes=rows), path)
    return path


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "marker"


def code_of(marker: Path) -> str:
    return f"__import__('pathlib').Path({str(marker)!r}).touch()"


def pickled(marker: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save(Payload(code_of(marker)), buffer)
    return buffer.getvalue()


def rewritten(program: Path, out: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """The archive with its members changed, as PyTorch writes one."""
    with zipfile.ZipFile(program) as archive, PT2ArchiveWriter(str(out)) as writer:
        for name in archive.namelist():
            member = name.split("/", 1)[1]
            if not member.startswith((".data", "byteorder")):
                writer.write_bytes(member, change(member, archive.read(name)))
    return out


def edited(edit: Callable[[dict[str, Any]], None], member: str) -> Callable[[str, bytes], bytes]:
    """A change of one JSON member."""

    def change(name: str, data: bytes) -> bytes:
        if name != member:
            return data
        content = json.loads(data)
        edit(content)
        return json.dumps(content).encode()

    return change


def attacks(marker: Path) -> dict[str, Callable[[str, bytes], bytes]]:
    code, model = code_of(marker), "models/model.json"
    config = "data/weights/model_weights_config.json"

    def sample_inputs(name: str, data: bytes) -> bytes:
        return pickled(marker) if name.startswith("data/sample_inputs") else data

    def weight(name: str, data: bytes) -> bytes:
        if name == "data/weights/weight_0":
            return pickled(marker)
        return edited(lambda c: c["config"]["conv.weight"].update(use_pickle=True), config)(name, data)

    def size(name: str, data: bytes) -> bytes:
        return data.replace(SYMBOL, code.encode()) if name == model else data

    def argument(content: dict[str, Any]) -> None:
        names = content["graph_module"]["module_call_graph"][0]["signature"]["forward_arg_names"]
        names[0] = f"x, y={code}"

    def node(content: dict[str, Any]) -> None:
        content["graph_module"]["graph"]["nodes"][1]["target"] = "torch.os.system"

    def quoted(content: dict[str, Any]) -> None:
        content["guards_code"] = [f"L['x'].size()[0] != '\" + str({code}) + \"'"]

    def from_file(content: dict[str, Any]) -> None:
        content["graph_module"]["graph"]["nodes"][1]["target"] = "torch.ops.aten.from_file.default"

    return {
        "sample inputs": sample_inputs,
        "a pickled weight": weight,
        "a size": size,
        "a guard": edited(lambda c: c.update(guards_code=[code]), model),
        "a quote in a guard": edited(quoted, model),
        "a name": edited(argument, model),
        "an operation": edited(node, model),
        "a file": edited(from_file, model),
    }


@pytest.mark.parametrize("attack", attacks(Path()))
def test_an_exported_program_runs_no_code_that_the_file_holds(
    program: Path, tmp_path: Path, marker: Path, attack: str
) -> None:
    path = rewritten(program, tmp_path / "a.pt2", attacks(marker)[attack])
    with pytest.raises(ModelError, match=r"could run code in the file: .*set trust_pickle: true"):
        load_model("exported", weights=path)
    assert not marker.exists()


def test_a_trusted_exported_program_may(program: Path, tmp_path: Path, marker: Path) -> None:
    path = rewritten(program, tmp_path / "a.pt2", attacks(marker)["a pickled weight"])
    with pytest.raises(ModelError):  # of what the payload makes, no weights
        load_model("exported", weights=path, trust_pickle=True)
    assert marker.exists()


def test_programs_with_sizes_and_containers_load_without_trust(tmp_path: Path) -> None:
    class Sizes(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            n, length = x.shape[0], x.shape[2]
            flat = x.reshape(n, -1)[:, : length // 2 + n]
            return {"a": flat.unfold(1, 4, 2).mean(-1) * max(n, 4), "b": (flat.sum(1), flat.cumsum(1))}

    dims = {"x": {0: torch.export.Dim("batch", max=30), 2: torch.export.Dim("L", min=8)}}
    x = torch.rand(5, 4, 60)
    torch.export.save(torch.export.export(Sizes(), (x,), dynamic_shapes=dims), tmp_path / "w.pt2")
    found = load_model("exported", weights=tmp_path / "w.pt2").model(x)
    torch.testing.assert_close(found, Sizes()(x))


@pytest.mark.parametrize("kind", [Writing, Mapping])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torchscript_program_writes_no_file(tmp_path: Path, marker: Path, kind: type[Writing]) -> None:
    torch.jit.script(kind(str(marker))).save(str(tmp_path / "w.pt"))
    with pytest.raises(ModelError, match=r"could do more than compute: (save|from_file).*trust_pickle"):
        load_model("torchscript", weights=tmp_path / "w.pt")
    assert not marker.exists()
    load_model("torchscript", weights=tmp_path / "w.pt", trust_pickle=True).model(torch.zeros(2, 4, 8))
    assert marker.exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_operations_that_take_a_file_are_all_denied() -> None:
    named = {
        schema.name.removeprefix("aten::")
        for schema in torch._C._jit_get_all_schemas()
        if schema.name.startswith("aten::") and any("file" in argument.name for argument in schema.arguments)
    }
    assert named, "the names of PyTorch's operations have changed"
    assert named <= set(DENIED)


@pytest.mark.parametrize(
    "line",
    [
        'x.save("f")', 'getattr(torch, "sa" "ve")(x, "f")', 'f = torch\n  f.save(x, "f")', 'ops.c10d.send(x)',
        'a = ops\n  a.c10d.send(x)', '__torch__.torch.classes.dist_c10d.Store()', 'x = "\\xe9"; é = 1',
    ],
)  # fmt: skip
def test_torchscript_that_hides_what_it_does_is_refused(line: str) -> None:
    assert list(_of_source(f"def f(x: Tensor) -> Tensor:\n  {line}\n  return x\n".encode()))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_ordinary_torchscript_program_needs_no_trust(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv1d(4, 3, 5), nn.BatchNorm1d(3), nn.Flatten(), nn.Linear(168, 2)).eval()
    torch.jit.script(model).save(str(tmp_path / "w.pt"))
    x = torch.rand(2, 4, 60)
    torch.testing.assert_close(load_model("torchscript", weights=tmp_path / "w.pt").model(x), model(x))
