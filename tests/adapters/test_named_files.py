"""Files that a person names: what may be written over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pathassets.adapters.named_files import refuse_taken
from pathassets.errors import OutputExists


def test_only_what_holds_nothing_or_is_our_own_may_be_written_over(tmp_path: Path) -> None:
    free, own, theirs, link, pipe = (tmp_path / name for name in ("a", "b", "c", "d", "e"))
    for place in (free, own):
        refuse_taken(place, remedy="Move it")
        place.touch()
        refuse_taken(place, remedy="Move it")
    own.write_text("# ours\n1\n")
    theirs.write_text("work of a year")
    link.symlink_to("nowhere")
    os.mkfifo(pipe)
    refuse_taken(own, remedy="Move it", is_own=lambda head: head.startswith(b"# ours"))
    for taken in (own, theirs, link, pipe, tmp_path):
        with pytest.raises(OutputExists) as refused:
            refuse_taken(taken, remedy="Move it")
        assert str(refused.value).startswith(f"{taken}: is there already")
        assert refused.value.remedy == "Move it"
