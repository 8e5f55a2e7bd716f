"""The `pathassets` command: the main job from a terminal, over the same assets as the UI.

Exit codes: 0 done, 1 some slides failed or files were refused, 2 the request is impossible,
130 interrupted. What a command needs is imported when it is called: all of it takes two seconds.
"""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from io import TextIOWrapper
from types import ModuleType
from typing import Any

import click

from pathassets import report
from pathassets.cli.options import BAD_INPUT, INTERRUPTED, refusing_empty
from pathassets.cli.output import output_told
from pathassets.engine.logs import log_to_stderr
from pathassets.errors import PathAssetsError

_COMMANDS = {
    "init": ("begin", "init"),
    "sample": ("begin", "sample"),
    "ingest": ("slides", "ingest_command"),
    "inbox": ("daily.inbox", "inbox"),
    "cohort": ("cohorts", "cohort"),
    "plan": ("daily.planning", "plan"),
    "run": ("work", "run"),
    "status": ("work", "status"),
    "select": ("selections", "select"),
    "stale": ("provenance", "stale"),
    "lineage": ("provenance", "lineage"),
    "dataset": ("datasets", "dataset"),
    "sql": ("sql", "sql"),
    "mpp": ("slides", "mpp"),
    "annotations": ("annotations", "recorded"),
    "qc": ("daily.quality", "qc"),
    "encoders": ("encoders", "encoders"),
    "check": ("slides", "check"),
    "export": ("exchange", "export_command"),
    "import": ("exchange", "import_command"),
    "unimport": ("exchange", "unimport_command"),
    "doctor": ("upkeep", "doctor"),
    "scrub": ("upkeep", "scrub"),
    "gc": ("upkeep", "gc"),
    "forget": ("upkeep", "forget"),
    "backup": ("upkeep", "backup"),
    "restore": ("upkeep", "restore"),
    "metrics": ("daily.running", "metrics"),
    "report": ("pages.report", "report_command"),
    "ui": ("pages.ui", "ui"),
    "demo": ("begin", "demo"),
}
"""What each is called, the module it is in, and its name there."""


class _Command(click.Group):
    """A group whose commands end with a message, not a traceback, when they were asked wrongly."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return [*_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command: click.Command = getattr(_load(f"{__name__}.{module}"), name)
        return refusing_empty(command)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command, and say where its output cannot be written."""
        with output_told():
            return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PathAssetsError as error:
            report.error(error)
            ctx.exit(BAD_INPUT)
        except KeyboardInterrupt:
            report.error("interrupted; what was finished is kept, the same command does the rest")
            ctx.exit(INTERRUPTED)


def _load(name: str) -> ModuleType:
    """Import a module; what comes with it stays, so that no collection of garbage looks at it.

    They are a quarter of what a command over a small cohort takes.
    """
    if name in sys.modules or not gc.isenabled():
        return import_module(name)
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()


@click.group(cls=_Command)
@click.version_option(package_name="pathassets")
def main() -> None:
    """Whole-slide images to patch features one can train on, tracked by Dagster."""
    log_to_stderr()
    if isinstance(sys.stdout, TextIOWrapper):  # a file's name may be no text at all
        sys.stdout.reconfigure(errors="backslashreplace")
