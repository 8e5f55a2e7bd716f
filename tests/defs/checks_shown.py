"""What the page shows of checks, asked as the page asks it."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster_graphql.schema import create_schema

Ask = Callable[..., Any]
"""GraphQL and its variables -> the only field of the answer."""

STATES = ("succeeded", "failed", "inProgress", "skipped", "executionFailed")
ALL_CHECKS = f"""
{{ assetNodes {{
     assetKey {{ path }}
     assetChecksOrError {{ ... on AssetChecks {{ checks {{
       name
       executionForLatestMaterialization {{ status }}
       partitionStatuses {{ ... on AssetCheckDefaultPartitionStatuses {{
         {" ".join(f"{state}Partitions" for state in STATES)} }} }}
     }} }} }} }} }}
"""
"""Of `AssetNodeLiveFragment`: counts and colours of the Checks tab, the sidebar and the graph."""
ONE_CHECK = """
query ($assetKey: AssetKeyInput!, $checkName: String!, $partitionKey: String!) {
  assetCheckExecutions(
    assetKey: $assetKey, checkName: $checkName, partition: $partitionKey, limit: 1000
  ) { status runId evaluation { description targetMaterialization { runId timestamp } } } }
"""
"""`AssetCheckPartitionDetailQuery`: what is shown of one partition of a check."""


def verdicts(ask: Ask) -> dict[str, dict[str, list[str]]]:
    """Partitions in each state, but for the empty ones, of each check of slides, as asset/check."""
    return {
        f"{'/'.join(node['assetKey']['path'])} {check['name']}": {
            state: sorted(found)
            for state in STATES
            if (found := check["partitionStatuses"][f"{state}Partitions"])
        }
        for node in ask(ALL_CHECKS)
        for check in node["assetChecksOrError"]["checks"]
        if check["partitionStatuses"] is not None
    }


def newest_of(ask: Ask, asset: str, check: str, slide_id: str) -> dict[str, Any] | None:
    """What the page tells of a slide's check, None where it tells 'No execution attempted'."""
    key = {"path": asset.split("/")}
    found = ask(ONE_CHECK, assetKey=key, checkName=check, partitionKey=slide_id)
    return found[0] if found else None


DEFINITIONS = """
from pathassets.defs.build import build_definitions
from pathassets.engine.platform.recipe import open_recipe
from pathassets.engine.settings import read_settings

defs = build_definitions(open_recipe(read_settings()))
"""


@contextmanager
def webserver_here(instance: dg.DagsterInstance, home: Path) -> Iterator[Ask]:
    """The webserver's GraphQL over an instance and the home's recipe, without HTTP between."""
    file = home / "definitions_here.py"
    file.write_text(DEFINITIONS)
    origin = InProcessCodeLocationOrigin(LoadableTargetOrigin(python_file=str(file)))
    schema = create_schema()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Dagster's, of its own schedules
        loading = WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin))
    with loading as workspace:

        def ask(query: str, **variables: Any) -> Any:
            with workspace.create_request_context() as context:
                answer = schema.execute_async(
                    query, context_value=context, variable_values=variables
                )
                result = asyncio.run(answer)
            assert not result.errors, result.errors
            (found,) = result.data.values()
            return found

        yield ask
