"""`python -m pathassets`: the command, where its folder is not on the PATH."""

from __future__ import annotations

from pathassets.cli import main

if __name__ == "__main__":
    main(prog_name="python -m pathassets")
