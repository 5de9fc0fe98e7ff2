"""Write the tables of docs/methods.md from the record of benchmarks/accuracy.py.

python benchmarks/document_accuracy.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "benchmarks" / "results" / "accuracy.json"
DOCUMENT = ROOT / "docs" / "methods.md"

#: Traps shown in the document, in its words.
SHOWN = {
    "module_relu": "`nn.ReLU()`",
    "module_relu_max_pool": "`nn.ReLU()`, `nn.MaxPool1d(4)`",
    "functional_relu": "`F.relu(h)`",
    "relu_created_in_forward": "`nn.ReLU()` made in `forward`",
    "relu_subclass": "a subclass of `nn.ReLU`",
    "relu_in_place": "`nn.ReLU(inplace=True)`",
    "relu_reused": "one `nn.ReLU` called twice",
    "in_place_sum": "`y += h`, `y *= …`",
    "residual_dilated": "BPNet's residual layers, `h + F.relu(conv(h))`",
    "clamp": "`h.clamp(…)`",
    "quick_gelu": "QuickGELU, `h * sigmoid(1.702 h)`",
    "square_product": "`h * h`",
    "gate": "`sigmoid(h) * tanh(h)`",
    "log_sum_exp": "`torch.logsumexp`",
    "standard_deviation": "`h.std(-1)`",
    "max_pool": "`F.max_pool1d`",
    "adaptive_max_pool": "`F.adaptive_max_pool1d`",
    "layer_norm_module": "`nn.LayerNorm`",
    "layer_norm": "`F.layer_norm`",
    "softmax_attention": "`softmax(q @ k) @ v`",
    "multi_head_attention": "`nn.MultiheadAttention`",
    "transformer_layer": "`nn.TransformerEncoderLayer`",
    "lstm": "`nn.LSTM`",
}
CONTENDERS = ("cislex", "tangermeme", "captum")


def number(value: float) -> str:
    """Per cent where it can be seen, else a power of ten."""
    return f"{value:.0%}".replace("%", " %") if value >= 1e-3 else f"{value:.0e}"


def entry(found: dict[str, Any]) -> str:
    """One contender's cell."""
    if "exception" in found:
        return f"refuses ({found['exception'].split(':')[0]})"
    warned = ", warns" if found["warned"] else ""
    return f"{number(found['median'])} ({number(found['largest'])}){warned}"


def peers(record: dict[str, Any]) -> list[str]:
    """Lines of the table of peers."""
    lines = ["| | cislex | tangermeme 1.6 | captum 0.9 |", "| --- | --- | --- | --- |"]
    for name, words in SHOWN.items():
        cells = " | ".join(entry(record["traps"][name][who]) for who in CONTENDERS)
        lines.append(f"| {words} | {cells} |")
    total = len(record["traps"])
    counts = [record["summary"][who] for who in CONTENDERS]
    right = " | ".join(f"**{count['right']}**" for count in counts)
    return [*lines, f"| **right, of all {total}** | {right} |"]


def precision(record: dict[str, Any]) -> list[str]:
    """Lines of the table of precisions."""
    first = next(iter(record["precision"].values()))
    kinds = [kind for kind in first if "max_relative_delta" in first[kind]]
    head = " | ".join(f"{kind}: error | delta | r" for kind in kinds)
    lines = [f"| | {head} | tangermeme, float32: error |", "| --- |" + " --- |" * (3 * len(kinds) + 1)]
    for title, rows in record["precision"].items():
        cells = []
        for kind in kinds:
            row = rows[kind]
            size = row["max_relative_delta"]
            r = "1" if row["correlation"] > 1 - 5e-6 else f"{row['correlation']:.5f}"
            cells += [f"{row['error']:.0e}", f"{size:.0e}" if size < 0.1 else f"{size:.2f}", r]
        theirs = rows["tangermeme float32"]
        cells.append(f"{theirs['error']:.0e}" if "error" in theirs else entry(theirs))
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return lines


def document(text: str, record: dict[str, Any]) -> str:
    """The document with both tables from the record."""
    for name, lines in (("precision", precision(record)), ("peers", peers(record))):
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        before, _, rest = text.partition(begin)
        text = before + begin + "\n".join(lines) + "\n" + end + rest.partition(end)[2]
    return text


def main() -> None:
    """Rewrite the document."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    DOCUMENT.write_text(document(DOCUMENT.read_text(encoding="utf-8"), record), encoding="utf-8")


if __name__ == "__main__":
    main()
