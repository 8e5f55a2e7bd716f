"""Files that a person names: pipes are not waited for; what may be written over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pathassets.adapters.named_files import (
    INTO_A_FILE,
    NotAFile,
    open_named,
    read_named,
    refuse_taken,
    remedy_of,
)
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


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    file, pipe = tmp_path / "a", tmp_path / "b"
    file.write_bytes(b"text")
    os.mkfifo(pipe)
    assert read_named(file) == b"text"
    for other, kind in ((pipe, "a named pipe"), (Path(os.devnull), "a device")):
        with pytest.raises(NotAFile, match=rf"^it is not a regular file but {kind}$") as refused:
            open_named(other)
        assert remedy_of(refused.value, "Look") == INTO_A_FILE
    for error in (IsADirectoryError, FileNotFoundError):
        with pytest.raises(error) as said:
            open_named(tmp_path if error is IsADirectoryError else tmp_path / "gone")
        assert remedy_of(said.value, "Look") == "Look"
