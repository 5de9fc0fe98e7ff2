"""Size and loading of the report of fifty targets in headless Chromium (least of some turns).

python benchmarks/report.py [--out benchmarks/results/report.json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests"), str(ROOT / "tests" / "report")]
import report_many_targets as many
from cislex.report import render_report
from test_browser import probe

TURNS = 5
MEASURED = """
  const timing = performance.getEntriesByType('navigation')[0];
  told({ms: Math.round(timing.domContentLoadedEventEnd), elements: document.getElementsByTagName('*').length,
        screens: Math.round(document.documentElement.scrollHeight / 1000)});
"""


def main() -> None:
    """Print a row for the index and for a page of one target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        arguments: dict[str, Any] = many.write_many(root)
        began = time.process_time()
        render_report(root / "report.html", title="Fifty targets", **arguments)
        rows: list[dict[str, Any]] = [{"rendering": round(time.process_time() - began, 1)}]
        for name in ("index.html", "analysis_0.target_0.html"):
            page = root / "report" / name
            turns = [probe(page, root, MEASURED) for _ in range(TURNS)]
            best = min(turns, key=lambda turn: turn["ms"])
            rows.append({"page": name, "bytes": page.stat().st_size, **best})
    for row in rows:
        print(row)
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
