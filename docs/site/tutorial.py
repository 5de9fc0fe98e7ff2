"""Print the commands of a tutorial that are marked to be run, as one shell script.

Run: .venv/bin/python docs/site/tutorial.py
"""

from __future__ import annotations

import re
from pathlib import Path

TUTORIAL = Path(__file__).resolve().parents[1] / "tutorials" / "your-model.md"
MARKED = re.compile(r"<!-- tutorial: run -->\n```bash\n(.*?)```", re.S)


def script(path: Path = TUTORIAL) -> str:
    """Commands of the marked blocks, in their order."""
    return "\n".join(MARKED.findall(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    print(script())
