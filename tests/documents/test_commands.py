"""Commands in documents can be run as they are written, and quoted errors exist."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from commands import DOCUMENTS, ROOT, can_be_said, commands, problem, said


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_of_documents_exist_as_they_are_written(path: Path) -> None:
    wrong = [f"{' '.join(words)}: {found}" for words in commands(path) if (found := problem(words))]
    assert not wrong


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("python benchmarks/accuracy.py", "bare python"),
        ("snakemake --configfile my.yaml", "bare snakemake"),
        (".venv/bin/python benchmarks/acuracy.py", "no file benchmarks/acuracy.py"),
        (".venv/bin/python benchmarks/accuracy.py --output x", "no option --output"),
        ("make dema", "no target dema"),
        (".venv/bin/snakemake --configfile config/yeats.yaml", "no file config/yeats.yaml"),
    ],
)
def test_a_command_that_cannot_be_run_is_found(command: str, found: str) -> None:
    assert found in (problem(command.split()) or "")


def quoted_errors() -> list[str]:
    """First column of the tables of troubleshooting, where it quotes a text."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `([^`]+)` \|", text, re.M)


def test_every_error_of_the_troubleshooting_is_one_that_the_code_can_say() -> None:
    texts = said()
    assert len(quoted_errors()) > 40
    assert not [quoted for quoted in quoted_errors() if not can_be_said(quoted, texts)]
    assert not can_be_said("the weights do not suit the model: missing …", texts)
