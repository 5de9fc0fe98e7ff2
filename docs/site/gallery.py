"""Take the pictures of docs/gallery.md, or of the README, from a report in headless Chromium.

Run: .venv/bin/python docs/site/gallery.py build/my-project/results/report.html   (`make docs-gallery`)
     .venv/bin/python docs/site/gallery.py results/yeast/report.html --readme       (`make docs-results`)
"""

from __future__ import annotations

import argparse
import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
#: Pictures: from an element (the end of its id) to the next one, both in the order of the page.
PARTS = {
    "motifs": ("-motifs", "-hits"), "hits": ("-hits", "-syntax"), "syntax": ("-syntax", "-regions"),
    "region": ("-region-1", "-region-2"), "quality": ("-quality", "-folds"), "folds": ("-folds", None),
}  # fmt: skip
WIDTH, TALLEST, COLOURS, MARGIN = 1100, 12_000, 64, 8
#: Gives the box of every element with an id, and that of the text column.
SCRIPT = """
addEventListener('load', () => {
  const boxes = {};
  for (const e of document.querySelectorAll('[id]')) {
    const box = e.getBoundingClientRect();
    boxes[e.id] = [box.left, box.top, box.right, box.bottom];
  }
  document.body.dataset.told = JSON.stringify(boxes);
});
"""


def chromium(*options: str) -> str:
    """Run headless Chromium; return what it printed."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        sys.exit("no Chromium or Chrome on the PATH: install it (Debian: apt install chromium)")
    return subprocess.run(
        [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--hide-scrollbars", f"--window-size={WIDTH},{TALLEST}", *options],
        capture_output=True, text=True, timeout=240, check=True,
    ).stdout  # fmt: skip


def pictures(report: Path, section: str) -> dict[str, Image.Image]:
    """Parts of a target's section of a report."""
    text = re.sub(r"<meta http-equiv[^>]+>", "", report.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder) / "page.html", Path(folder) / "shot.png"
        more = f"<style>button {{ display: none }}</style><script>{SCRIPT}</script></body>"
        page.write_text(text.replace("</body>", more), encoding="utf-8")
        told = re.search(r'data-told="([^"]+)"', chromium("--dump-dom", page.as_uri()))
        assert told is not None
        boxes = json.loads(html.unescape(told[1]))
        chromium(f"--screenshot={shot}", page.as_uri())
        whole = Image.open(shot).convert("RGB")
    left, _, right, bottom = boxes[section]
    found = {}
    for name, (first, following) in PARTS.items():
        if section + first not in boxes:
            continue
        top = boxes[section + first][1]
        end = boxes[section + following][1] if following and section + following in boxes else bottom
        edges = (max(0, left - MARGIN), top - MARGIN, min(WIDTH, right + MARGIN), min(end, TALLEST) - MARGIN)
        found[name] = whole.crop(tuple(round(edge) for edge in edges))
    return found


def save(picture: Image.Image, path: Path) -> None:
    """Write a picture with few colours, which logos need."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(COLOURS).save(path, optimize=True)
    print(path.relative_to(ROOT), picture.size, f"{path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("--readme", action="store_true", help="the picture of the README, from `make yeast`")
    given = parser.parse_args()
    text = given.report.read_text(encoding="utf-8")
    section = re.findall(r'<h3 id="([^"]+)-motifs"', text)[0]
    found = pictures(given.report, section)
    if given.readme:
        parts = [found["motifs"], found["region"]]
        whole = Image.new("RGB", (parts[0].width, sum(part.height for part in parts)), "white")
        for number, part in enumerate(parts):
            whole.paste(part, (0, sum(above.height for above in parts[:number])))
        save(whole, IMAGES / "yeast-motifs.png")
        return
    for name, picture in found.items():
        save(picture, IMAGES / "gallery" / f"{name}.png")


if __name__ == "__main__":
    main()
