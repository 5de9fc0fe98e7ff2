"""What a model's Python file imports and defines, read without running it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cislex_workflow import model_sources

ROOT = Path(__file__).resolve().parents[2]


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def found(folder: Path) -> list[str]:
    paths = model_sources.neighbours(str(folder / "m.py"))
    return [Path(path).relative_to(folder).as_posix() for path in paths]


def test_what_a_file_imports_from_its_folder_is_followed(tmp_path: Path) -> None:
    files = {
        "m.py": "import torch\nfrom layers import Net\ndef build():\n    import lazy\n    return Net()\n",
        "layers.py": "import deeper, m\n",
        "deeper.py": "import layers\n",
        "lazy.py": "",
        "unused.py": "",
        "sub/layers.py": "",
    }
    write(tmp_path, files)
    assert found(tmp_path) == ["deeper.py", "layers.py", "lazy.py"]


def test_packages_and_relative_imports_are_followed(tmp_path: Path) -> None:
    files = {
        "m.py": "import blocks.stem.conv\nfrom plain import part\nfrom more import *\n",
        "blocks/__init__.py": "from .heads import Head\n",
        "blocks/heads.py": "from . import sizes\nfrom ... import beyond\n",
        "blocks/sizes.py": "",
        "blocks/stem/__init__.py": "",
        "blocks/stem/conv.py": "from ..norms import Norm\nimport other\n",
        "blocks/norms.py": "",
        "blocks/other.py": "",
        "plain/part.py": "",
        "more/__init__.py": "",
        "more.py": "",
    }
    write(tmp_path, files)
    assert found(tmp_path) == [
        "blocks/__init__.py", "blocks/heads.py", "blocks/norms.py", "blocks/sizes.py",
        "blocks/stem/__init__.py", "blocks/stem/conv.py", "more/__init__.py", "plain/part.py",
    ]  # fmt: skip


def test_a_relative_path_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"nets/m.py": "import layers\n", "nets/layers.py": "", "layers.py": ""})
    monkeypatch.chdir(tmp_path)
    assert model_sources.neighbours("nets/m.py") == ["nets/layers.py"]
    monkeypatch.chdir(tmp_path / "nets")
    assert model_sources.neighbours("m.py") == ["layers.py"]


def test_a_file_that_cannot_be_parsed_has_no_neighbours(tmp_path: Path) -> None:
    write(tmp_path, {"m.py": "import layers\ndef build(:\n", "layers.py": ""})
    assert found(tmp_path) == []
    assert model_sources.neighbours(str(tmp_path / "none.py")) == []


def test_names_of_the_top_level(tmp_path: Path) -> None:
    text = (
        "import numpy as np\nfrom torch import nn\n"
        "try:\n    import a.b\nexcept ImportError:\n    def build(): ...\n"
        "class Net(nn.Module):\n    def forward(self): ...\nmake = lambda: Net()\ndef _own(): inner = 1\n"
    )
    write(tmp_path, {"m.py": text})
    path = str(tmp_path / "m.py")
    assert model_sources.defined_names(path) == {"np", "nn", "a", "build", "Net", "make", "_own"}
    assert model_sources.defined_callables(path) == ["build", "Net"]


@pytest.mark.parametrize(
    "text",
    ["from other import *\n", "globals()['build'] = int\n", "def __getattr__(name): ...\n", "def x(:\n"],
)
def test_a_file_that_makes_names_as_it_runs_is_left_to_the_job(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"m.py": text})
    assert model_sources.defined_names(str(tmp_path / "m.py")) is None
