"""Files as no program writes them: random bytes, and valid files that were changed in a few places."""

from __future__ import annotations

import gzip

from hypothesis import strategies as st

#: What is put into files: separators, numbers that are none, marks of encodings and of other formats.
FRAGMENTS = [
    *(
        b"\t",
        b"\n",
        b"\r",
        b"\r\n",
        b" ",
        b",",
        b"#",
        b">",
        b"=",
        b":",
        b'"',
        b"'",
        b"-1",
        b"0",
        b"1.0",
        b"0.5",
    ),
    *(
        b"1e9",
        b"99999999999999999999",
        b"18446744073709551615",
        b"nan",
        b"inf",
        b"NA",
        b"True",
        b"\0",
        b"\xff",
    ),
    *(b"\xe9", b"\xef\xbb\xbf", b"\x1c", b"\x85", "\u2028".encode(), "٣".encode(), "²".encode(), b"x" * 300),
    *(b"\x1f\x8b", b"{", b"}", b"[", b"]", b"&a ", b"*a", b"|", b"- ", b"? ", b"2024-13-45", b"~", b"<<: *a"),
]


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes], *, packed: bool = True) -> bytes:
    """Random bytes, or one of the files with one to four changes, perhaps compressed and changed again."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=200))
    data = _changed(draw, draw(st.sampled_from(seeds)))
    if packed and draw(st.integers(0, 9)) == 0:
        data = gzip.compress(data, mtime=0)
        if draw(st.booleans()):
            data = _changed(draw, data)
    return data


def _changed(draw: st.DrawFn, data: bytes) -> bytes:
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.integers(0, 5))
        length = draw(st.integers(1, 20))
        if kind == 0:
            data = data[:at] + draw(st.sampled_from(FRAGMENTS)) + data[at:]
        elif kind == 1:
            data = data[:at] + draw(st.sampled_from(FRAGMENTS)) + data[at + length :]
        elif kind == 2:
            data = data[:at] + draw(st.binary(min_size=1, max_size=2)) + data[at + 1 :]
        elif kind == 3:
            data = data[:at] + data[at + length :]
        elif kind == 4:
            data = data[:at]
        else:
            lines = data.split(b"\n")
            line = lines[draw(st.integers(0, len(lines) - 1))]
            lines.insert(draw(st.integers(0, len(lines))), line)
            data = b"\n".join(lines)
    return data
