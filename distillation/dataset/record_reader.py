"""Read and check one line of a dataset file.

Most lines take ``fast_path``. Every other line takes the full checks, which name each problem.
"""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from typing import Any

from distillation.dataset.fast_path import scan_ordinary_record
from distillation.dataset.record_checks import check_record
from distillation.dataset.record_scan import RecordScan
from distillation.models.model import Family

MAXIMUM_LINE_BYTES = 4 * 1024 * 1024
"""Bytes from which a line is too long to be a record, which has at most 32,000 tokens."""
_JSON_WHITESPACE = " \t\r\n"


def scan_line(line: bytes, family: Family) -> RecordScan:
    """Return the scan of one line."""
    scan = scan_ordinary_record(line, family)
    return check_line(line, family) if scan is None else scan


def check_line(line: bytes, family: Family) -> RecordScan:
    """Return the scan of one line, without the fast path."""
    try:
        return _check_text(line.decode().strip(_JSON_WHITESPACE), family)
    except UnicodeDecodeError as error:
        return _unreadable("encoding", f"not valid UTF-8 (byte {error.start + 1})", family)
    except RecursionError:
        return _unreadable("json_syntax", "JSON is nested too deeply", family)
    except ValueError as error:
        if line.startswith(BOM_UTF8):
            return _unreadable("encoding", "starts with a byte order mark", family)
        place = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        return _unreadable("json_syntax", f"not valid JSON: {getattr(error, 'msg', error)}{place}", family)


def _check_text(text: str, family: Family) -> RecordScan:
    if not text:
        return _unreadable("blank_line", "is blank", family)
    record, end = _DECODER.raw_decode(text)
    if end < len(text):
        description = f"contains more than one JSON value (the first has {end:,} characters)"
        return _unreadable("json_syntax", description, family)
    return check_record(record, family)


def _unreadable(rule: str, description: str, family: Family) -> RecordScan:
    scan = RecordScan(family)
    scan.report(rule, description)
    return scan


def _reject_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is not a JSON value")


_DECODER = json.JSONDecoder(parse_constant=_reject_constant)
