"""Markup that models write around an answer: reasoning in tags, and JSON or Python values."""

from __future__ import annotations

import json
import re
from typing import Any

_REASONING = re.compile(
    r"[<\[◁](/?)(?:think|thinking|thought|reasoning|reflection|analysis|scratchpad)[>\]▷]", re.IGNORECASE
)
_SINGLE_QUOTED = re.compile(r"'([^'\n]*)'(?=\s{0,9}[,:\]}])|\"[^\"\n]*\"")
_PYTHON_CONSTANT = re.compile(r"\b(?:None|True|False)\b|,(?=\s{0,9}[\]}])")
_PYTHON_CONSTANTS = {"None": "null", "True": "true", "False": "false", ",": ""}
# Models write line breaks in strings, which JSON does not allow.
_DECODER = json.JSONDecoder(strict=False)


def without_reasoning(text: str) -> str:
    """Return ``text`` without the reasoning in tags. What precedes an end tag alone is reasoning too."""
    text = text.rpartition("final<|message|>")[2]  # The last channel of gpt-oss.
    kept: list[str] = []
    position = depth = 0
    for match in _REASONING.finditer(text):
        if not depth:
            kept.append(text[position : match.start()])
        if match[1]:
            kept = kept if depth else []
            depth = max(0, depth - 1)
        else:
            depth += 1
        position = match.end()
    return "".join(kept) if depth else "".join(kept) + text[position:]


def decode_structure(text: str, start: int) -> tuple[Any, int]:
    """Return the JSON or Python value at ``start`` and its end, or None and ``start``."""
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        pass
    end = max(text.rfind("]"), text.rfind("}")) + 1
    as_json = _SINGLE_QUOTED.sub(
        lambda match: json.dumps(match[1], ensure_ascii=False) if match[1] is not None else match[0], text[start:end]
    )
    try:
        value = _DECODER.decode(_PYTHON_CONSTANT.sub(lambda match: _PYTHON_CONSTANTS[match[0]], as_json))
    except (ValueError, RecursionError):
        return None, start
    return value, end
