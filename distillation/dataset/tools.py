"""The rules of tools in a record: what toolConfig offers, what the assistant uses, what the user hands back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from distillation.dataset.record_scan import RecordScan, shorten

_RESULT_FIELDS = {"toolUseId", "content", "status"}


def check_tool_config(config: Any, seen: RecordScan) -> None:
    """Check a record's toolConfig; its tools may be used by the messages."""
    seen.place = ("toolConfig",)
    _check_supported(seen)
    names: list[str] = []
    match config:
        case {"tools": [_, *_] as tools}:
            for index, tool in enumerate(tools):
                names.extend(_tool_names(index, tool, seen))
        case _:
            seen.report("tool_config", f"must be a list of at least one tool (got {shorten(config)})", "tools")
    for name in sorted({name for name in names if names.count(name) > 1}):
        seen.report("tool_config", f"two tools are named {shorten(name)}", "tools")
    seen.tools = frozenset(names)


def check_tool_use(use: Any, seen: RecordScan) -> None:
    """Check a toolUse block."""
    _check_supported(seen)
    if seen.role == "user":
        seen.report("tool_use", "a user message holds no toolUse")
    match use:
        case {"toolUseId": str(id), "name": str(name), "input": dict()} if id.strip() and name.strip():
            if seen.tools is None:
                seen.report("tool_use", "the record has no toolConfig")
            elif name not in seen.tools:
                seen.report("tool_use", f"toolConfig has no tool {shorten(name)}", "name")
            if id in seen.tool_uses:
                seen.report("tool_use", f"{shorten(id)} was used before", "toolUseId")
            seen.tool_uses.setdefault(id, False)
        case _:
            seen.report("tool_use", f"must be {{toolUseId, name, input}} (got {shorten(use)})")


def check_tool_result(result: Any, seen: RecordScan) -> None:
    """Check a toolResult block."""
    _check_supported(seen)
    if seen.role == "assistant":
        seen.report("assistant_content", "an assistant message holds no toolResult")
    match result:
        case {"toolUseId": str(id), "content": [_, *_] as content} if id.strip() and result.keys() <= _RESULT_FIELDS:
            if id not in seen.tool_uses:
                seen.report("tool_result", f"no toolUse before it has the id {shorten(id)}", "toolUseId")
            elif seen.tool_uses[id]:
                seen.report("tool_result", f"{shorten(id)} has its result already", "toolUseId")
            else:
                seen.tool_uses[id] = True
            for index, block in enumerate(content):
                if not _is_result_content(block):
                    seen.report("tool_result", f"must be {{text}} or {{json}} (got {shorten(block)})", "content", index)
        case _:
            seen.report("tool_result", f"must be {{toolUseId, content}} (got {shorten(result)})")


def _check_supported(seen: RecordScan) -> None:
    if not seen.family.tools:
        seen.report("tools_unsupported", f"{seen.family.name} is not tuned on the use of tools")


def _tool_names(index: int, tool: Any, seen: RecordScan) -> Iterator[str]:
    match tool:
        case {"toolSpec": {"name": str(name), "description": str(description), "inputSchema": {"json": {"type": _}}}}:
            if name.strip() and description.strip():
                yield name
                return
    seen.report("tool_config", f"must be {{toolSpec}} with all its fields filled (got {shorten(tool)})", "tools", index)


def _is_result_content(block: Any) -> bool:
    match block:
        case {"text": str()} | {"json": dict()}:
            return sum(value is not None for value in block.values()) == 1
    return False
