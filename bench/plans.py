"""How MongoDB goes about a command."""

from typing import Any

from common.mongo import Database


async def plan(database: Database, command: dict[str, Any]) -> str:
    """Say in one line which stages a command takes and how much it looks at."""
    explained = await database.command("explain", command, verbosity="executionStats")
    stages, stage = [], explained["queryPlanner"]["winningPlan"]
    while stage:
        stages.append(stage["stage"] + (f" {stage['indexName']}" if "indexName" in stage else ""))
        stage = stage.get("inputStage")
    stats = explained["executionStats"]
    return (
        f"{' < '.join(stages)}: {stats['totalKeysExamined']} keys, {stats['totalDocsExamined']} documents for "
        f"{stats['nReturned']}"
    )
