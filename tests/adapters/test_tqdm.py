import io
import os
import sys
import termios
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pathassets.adapters import tqdm as adapter
from pathassets.adapters.tqdm import progress_bar


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.now_s = 100.0

    def monotonic(self):
        return self.now_s


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(adapter, "time", clock)
    return clock


class Terminal(io.StringIO):
    def isatty(self):
        return True


def bar(total):
    return progress_bar(total, unit="patches", label="a.svs", is_shown=True)


def test_a_log_gets_a_line_every_ten_seconds_and_a_last_one(capsys, clock):
    with bar(400) as advance:
        for _ in range(25):  # 25 s
            clock.now_s += 1
            advance(16)
    assert capsys.readouterr().err.splitlines() == [
        "a.svs:  40% 160/400 [00:10<00:15, 16.00 patches/s]",
        "a.svs:  80% 320/400 [00:20<00:05, 16.00 patches/s]",
        "a.svs: 100% 400/400 [00:25<00:00, 16.00 patches/s]",
    ]


def test_ten_hours_in_a_log_are_some_dozen_lines(capsys, clock):
    with bar(36000) as advance:
        for _ in range(36000):
            clock.now_s += 1
            advance(1)
    assert 50 < len(capsys.readouterr().err.splitlines()) < 80


def test_what_is_done_at_once_is_one_line(capsys):
    with bar(3) as advance:
        advance(1)
        advance(2)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("a.svs: 100% 3/3 [00:00<00:00, ")


def test_nothing_is_said_twice(capsys, clock):
    with bar(2) as advance:
        clock.now_s += 30
        advance(2)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_without_a_total_there_is_a_count_and_a_rate(capsys, clock):
    with bar(None) as advance:
        clock.now_s += 2
        advance(8)
    assert capsys.readouterr().err == "a.svs: 8 patches [00:02,  4.00 patches/s]\n"


def fail_halfway(clock):
    with bar(10) as advance:
        clock.now_s += 4
        advance(4)
        raise ValueError("gone")


def test_a_log_tells_how_far_it_came_when_something_fails(capsys, clock):
    with pytest.raises(ValueError, match="gone"):
        fail_halfway(clock)
    assert capsys.readouterr().err == "a.svs:  40% 4/10 [00:04<00:06,  1.00 patches/s]\n"


def test_a_terminal_gets_one_bar_that_is_redrawn(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with bar(64) as advance:
        advance(32)
        time.sleep(0.2)  # it is redrawn ten times a second at most
        advance(32)
    drawn = terminal.getvalue().split("\r")
    assert "64/64 [" in drawn[-1]
    assert "patches/s" in drawn[-1]
    assert drawn[-1].endswith("\n")
    assert sum(text.count("\n") for text in drawn) == 1


@pytest.mark.parametrize(("columns", "is_bar"), [(80, True), (0, False)])
def test_a_terminal_without_a_width_gets_lines(monkeypatch, columns, is_bar):
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", terminal)
        with bar(3) as advance:
            advance(3)
        said = ""
        while "3/3 [" not in said:  # a terminal gives what it has, be it a part
            said += os.read(ours, 10_000).decode()
    os.close(ours)
    assert ("|" in said) == is_bar


def test_nothing_is_shown_unless_it_is_asked_for(capsys):
    with progress_bar(10, unit="patches", label="a.svs", is_shown=False) as advance:
        advance(10)
    assert capsys.readouterr() == ("", "")


def test_threads_lose_no_count(capsys):
    with bar(40_000) as advance, ThreadPoolExecutor(8) as threads:
        for _ in range(8):
            threads.submit(lambda: [advance(1) for _ in range(5000)])
    assert "40000/40000" in capsys.readouterr().err


def test_no_thread_outlives_the_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    before = threading.active_count()
    with bar(2) as advance:
        advance(2)
    assert threading.active_count() == before
