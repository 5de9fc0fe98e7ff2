"""The rules of the workflow as text."""

from __future__ import annotations

import re
from pathlib import Path

RULES = Path(__file__).resolve().parents[1] / "workflow" / "rules"


def rule_texts() -> dict[str, str]:
    """Text of every rule of the workflow, by its name."""
    found = {}
    for path in RULES.rglob("*.smk"):
        parts = re.split(r"^ *rule (\w+):\n", path.read_text(encoding="utf-8"), flags=re.M)
        found.update(zip(parts[1::2], parts[2::2], strict=True))
    return found
