"""Checks of tool use in a record: ``toolConfig``, ``toolUse`` and ``toolResult``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from distillation.dataset.field_checks import add_text, check_fields
from distillation.dataset.record_scan import RecordScan, shorten

_SPEC_FIELDS = ("name", "description", "inputSchema")
_USE_FIELDS = ("toolUseId", "name", "input")
_RESULT_FIELDS = ("toolUseId", "content", "status")
_RESULT_BLOCK_FIELDS = ("text", "json")


def check_tool_config(config: Any, scan: RecordScan) -> None:
    """Check the toolConfig of a record and add its tool names to the scan."""
    scan.path = ("toolConfig",)
    _check_supported(scan)
    names: list[str] = []
    match config:
        case {"tools": [_, *_] as tools}:
            check_fields(config, ("tools",), scan)
            for index, tool in enumerate(tools):
                names.extend(_tool_names(index, tool, scan))
        case _:
            scan.report("tool_config", f"must be a list of at least one tool (got {shorten(config)})", "tools")
    for name in sorted({name for name in names if names.count(name) > 1}):
        scan.report("tool_config", f"two tools are named {shorten(name)}", "tools")
    scan.tools = frozenset(names)


def check_tool_use(use: Any, scan: RecordScan) -> None:
    """Check a toolUse block."""
    scan.path = (*scan.path, "toolUse")
    _check_supported(scan)
    if scan.role == "user":
        scan.report("tool_use", "toolUse is not allowed in a user message")
    match use:
        case {"toolUseId": str(id), "name": str(name), "input": dict()} if id.strip() and name.strip():
            check_fields(use, _USE_FIELDS, scan)
            if scan.tools is None:
                scan.report("tool_use", "the record has no toolConfig")
            elif name not in scan.tools:
                scan.report("tool_use", f"toolConfig has no tool {shorten(name)}", "name")
            if id in scan.tool_uses:
                scan.report("tool_use", f"{shorten(id)} is already used", "toolUseId")
            scan.tool_uses.setdefault(id, False)
        case _:
            scan.report("tool_use", f"must be {{toolUseId, name, input}} (got {shorten(use)})")


def check_tool_result(result: Any, scan: RecordScan) -> None:
    """Check a toolResult block, with its texts."""
    scan.path = (*scan.path, "toolResult")
    _check_supported(scan)
    if scan.role == "assistant":
        scan.report("assistant_content", "toolResult is not allowed in an assistant message")
    match result:
        case {"toolUseId": str(id), "content": [_, *_] as content} if id.strip():
            check_fields(result, _RESULT_FIELDS, scan)
            if id not in scan.tool_uses:
                scan.report("tool_result", f"no earlier toolUse has the id {shorten(id)}", "toolUseId")
            elif scan.tool_uses[id]:
                scan.report("tool_result", f"{shorten(id)} already has a result", "toolUseId")
            else:
                scan.tool_uses[id] = True
            path = scan.path
            for index, block in enumerate(content):
                scan.path = (*path, "content", index)
                _check_result_block(block, scan)
        case _:
            scan.report("tool_result", f"must be {{toolUseId, content}} (got {shorten(result)})")


def _check_supported(scan: RecordScan) -> None:
    if not scan.family.tools:
        scan.report("tools_unsupported", f"{scan.family.name} does not support tools in training data")


def _tool_names(index: int, tool: Any, scan: RecordScan) -> Iterator[str]:
    match tool:
        case {"toolSpec": {"name": str(name), "description": str(description), "inputSchema": {"json": {"type": _}}}}:
            if name.strip() and description.strip():
                check_fields(tool, ("toolSpec",), scan, "tools", index)
                check_fields(tool["toolSpec"], _SPEC_FIELDS, scan, "tools", index, "toolSpec")
                yield name
                return
    scan.report("tool_config", f"must be {{toolSpec}} with all fields set (got {shorten(tool)})", "tools", index)


def _check_result_block(block: Any, scan: RecordScan) -> None:
    match block:
        case {"text": str(text)} if block.get("json") is None:
            add_text(text, scan)
        case {"json": dict(value)} if block.get("text") is None:
            scan.content.append(json.dumps(value))
        case _:
            scan.report("tool_result", f"must be {{text}} or {{json}} (got {shorten(block)})")
            return
    check_fields(block, _RESULT_BLOCK_FIELDS, scan)
