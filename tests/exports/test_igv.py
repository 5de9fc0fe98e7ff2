"""What igv.js shows: the page opens without network, and both sessions load from a served folder.

`make test-browser` runs these tests in headless Chromium.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import motif_fixtures
import pytest
from browser_fixture import write_inputs
from cislex.exports.browser import export_browser
from cislex.exports.igv.page import IGV, IGV_VERSION

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome on the PATH"),
]


@pytest.fixture(scope="module")
def folder(planted: motif_fixtures.Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder for browsers over the planted regions."""
    out = tmp_path_factory.mktemp("out") / "browser"
    export_browser(out, **write_inputs(planted, tmp_path_factory.mktemp("inputs")))
    return out


def browse(address: str, profile: Path) -> tuple[str, str]:
    """Open an address without any network but this machine; return the document and the console."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={profile}",
            "--virtual-time-budget=20000", "--dump-dom", address,
        ],
        capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


#: Waits for the page's own script, then tells what igv.js has drawn.
PROBE = """
const waiting = setInterval(async () => {
  if (!document.body.dataset.ready) return;
  clearInterval(waiting);
  const browser = window.shown;
  const dynseq = browser.findTracks(track => track.graphType === "dynseq")[0];
  const frame = browser.referenceFrameList[0];
  document.body.dataset.told = JSON.stringify({
    names: browser.findTracks(track => track.name).map(track => track.name),
    letters: (await dynseq.getFeatures(frame.chr, frame.start, frame.end, 1)).map(f => f.sequence).join(""),
    svg: browser.toSVG().length,
  });
}, 200);
"""


def test_the_page_draws_letters_of_the_top_region_without_network(folder: Path, tmp_path: Path) -> None:
    page = (folder / "igv.html").read_text(encoding="utf-8")
    page = page.replace("await igv.createBrowser(", "window.shown = await igv.createBrowser(")
    head, _, tail = page.rpartition("</body>")
    (tmp_path / "page.html").write_text(f"{head}<script>{PROBE}</script></body>{tail}")
    document, console = browse((tmp_path / "page.html").as_uri(), tmp_path / "profile")
    told = re.search(r'data-told="([^"]+)"', document)
    assert told is not None, console
    assert "Uncaught" not in console
    found = json.loads(html.unescape(told[1]))
    assert {"contributions", "motif hits", "regions"} <= set(found["names"])
    window = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])["targets"][0]["windows"][0]  # type: ignore[index]
    low, high = (place - window["start"] for place in window["zoom"])
    assert window["sequence"][low:high] in found["letters"]
    assert found["svg"] > 20_000
    assert all(f">{name}</option>" in document for name in ("x / a", "x / b"))
    assert f"igv.js {IGV_VERSION}" in document


class Ranges(SimpleHTTPRequestHandler):
    """Serves files, and parts of them, as any web server does."""

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if found is None or not path.is_file():
            super().do_GET()
            return
        data = path.read_bytes()
        low, high = int(found[1]), min(int(found[2] or len(data)) + 1, len(data))
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {low}-{high - 1}/{len(data)}")
        self.send_header("Content-Length", str(high - low))
        self.end_headers()
        self.wfile.write(data[low:high])


@pytest.fixture(scope="module")
def address(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of the folder, moved and served."""
    moved = tmp_path_factory.mktemp("moved") / "anywhere"
    shutil.copytree(folder, moved)
    shutil.copyfile(IGV, moved / "igv.min.js")
    for kind in ("xml", "json"):
        (moved / f"{kind}.html").write_text(
            "<div id=b></div><script src=igv.min.js></script><script>(async () => {"
            "const browser = await igv.createBrowser(document.getElementById('b'), {"
            "loadDefaultGenomes: false, reference: {id: 'g', fastaURL: 'genome/genome.fa', "
            "indexURL: 'genome/genome.fa.fai'}});"
            f"await browser.loadSession({{url: 'session.{kind}'}});"
            "document.title = browser.findTracks(track => track.url).map(track => track.name).join('|');"
            "})().catch(error => document.title = error)</script>"
        )
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Ranges, directory=str(moved)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("kind", ["xml", "json"])
def test_a_session_of_a_served_folder_loads_every_track(address: str, tmp_path: Path, kind: str) -> None:
    document, console = browse(f"{address}/{kind}.html", tmp_path)
    title = re.search("<title>([^<]*)</title>", document)
    assert title is not None, console
    assert title[1].split("|") == [
        "x / a: contributions", "x / a: motif hits", "x / a: prediction", "x / a: observed",
        "x / a: signal bigwig", "x / b: contributions", "x / b: prediction", "regions mine", "variants calls",
    ]  # fmt: skip
    assert "Error" not in console.replace("Error loading url mappings", ""), console
