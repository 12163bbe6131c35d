"""Write a file on this machine so that it is always complete."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path


def write_file(path: Path, content: bytes) -> Path:
    """Write a file so that it is always complete, and return its path; an existing file keeps its permissions.

    The content goes to a temporary file in the same folder, which then takes the file's name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path
