"""What a plan says of what nobody knows, and what a bar says of what is left."""

from __future__ import annotations

import logging

from rich.progress import Progress

from pathassets.engine.platform.planning.forecast import Unknown
from pathassets.report.console import _SlideLines, open_console
from pathassets.report.daily.planning import unknown_lines


def test_entries_that_lack_the_same_are_told_in_one_line_with_one_command() -> None:
    kind = ("jpeg", -1)
    unknown = [
        Unknown(key=(stage, "x"), kind=kind, n_slides=7, first=("a", "b", "c"), elsewhere=where)
        for stage, where in (("tissue_mask", ()), ("features", ("H200 of C",)), ("patch_set", ()))
    ]
    slides = "of 7 slides, jpeg at about 0.5 um/px: not 3 such were made here yet"
    first = "First: pathassets run --slides a,b,c"
    assert unknown_lines(unknown) == [
        f"tissue_mask/x, patch_set/x {slides}. {first}",
        f"features/x {slides} (they were on H200 of C). {first}",
    ]


def test_the_bar_of_slides_says_what_is_left() -> None:
    bar = Progress(console=open_console())
    lines = _SlideLines(open_console(), bar)
    for left, said in (("", "slides"), ("about 5 min left", "slides, about 5 min left")):
        record = logging.makeLogRecord({"msg": "left", "left": left})
        lines.handle(record)
        assert [task.description for task in bar.tasks] == [said]
