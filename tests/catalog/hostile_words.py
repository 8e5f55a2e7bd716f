"""Words that go wrong wherever somebody puts them into SQL, CSV, Markdown or a terminal."""

from __future__ import annotations

from pathassets.catalog.records import PathRecord, SlideRecord

HOSTILE = {
    "quotes": 'O\'Brien "x" `y`',
    "sql": "x'; DROP TABLE slide; --",
    "newline": "one\ntwo\r\nthree",
    "markdown": "![x](http://evil.example/a) <img src=x> | *b* |",
    "formula": '=HYPERLINK("http://evil.example")',
    "terminal": "\x1b[31mred\x1b]0;owned\x07",
    "unicode": "Lübeck-\u202enep\u200b-日本 \U0001f9ec",
    "percent": "50% %s :name ? {x} \\n",
}


def slide_of(slide_id: str, *, content: str = "") -> SlideRecord:
    """A registered slide, of which nobody said anything."""
    return SlideRecord(
        slide_id=slide_id,
        fingerprint=(content or slide_id).ljust(64, "0"),
        size_bytes=1,
        vendor="aperio",
        reader="openslide",
        width_px0=100,
        height_px0=50,
        n_levels=1,
        level_downsamples=(1.0,),
        mpp=0.5,
        mpp_sources=(),
    )


def path_of(slide_id: str, path: str = "") -> PathRecord:
    """A file that holds it."""
    place = path or f"/scans/{slide_id}.svs"
    return PathRecord(path=place, slide_id=slide_id, size_bytes=1, mtime_ns=1, ctime_ns=1)
