"""The documents say what the code does."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_the_table_of_config_keys_is_the_schema() -> None:
    spec = importlib.util.spec_from_file_location("document_config", ROOT / "workflow" / "document_config.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "config" / "README.md").read_text(encoding="utf-8") == module.document(), (
        "run python workflow/document_config.py"
    )


def test_every_rule_has_a_section_in_the_output_documentation() -> None:
    text = (ROOT / "docs" / "output.md").read_text(encoding="utf-8")
    rules = [
        line.split()[1].rstrip(":")
        for path in (ROOT / "workflow" / "rules").glob("*.smk")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("rule ")
    ]
    assert len(rules) >= 15
    assert not [rule for rule in rules if f"`{rule}`" not in text]


def test_the_library_example_of_the_readme_runs_as_written(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = text.split("<!-- library: begin -->")[1].split("<!-- library: end -->")[0]
    source = block.strip().removeprefix("```python").removesuffix("```")
    exec(compile(source, "README.md", "exec"), {})
    assert "torch.Size([10, 4, 200])" in capsys.readouterr().out
