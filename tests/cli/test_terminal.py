"""Output of the commands on a terminal of 40 and of 200 columns, in a pipe, and without colour."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from rich.console import Console

from cli.stage import ROOT
from cli.watch import progress_tree
from tests.cli.test_watch import progress

PHOTOS = ROOT / "samples/photos"
COMMAND = [sys.executable, "-m", "cli.main"]


def on_terminal(*arguments: str | Path, columns: int, **environment: str) -> list[str]:
    """Run ``distill`` on a terminal of this width and return its lines."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    variables = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env=variables | {"TERM": "xterm-256color"} | environment,
    )
    os.close(theirs)
    output = b""
    with contextlib.suppress(OSError):  # Linux reports the end of the other side as an error.
        while piece := os.read(ours, 65536):
            output += piece
    os.close(ours)
    assert process.wait() == 0, output
    return output.decode().replace("\r\n", "\n").splitlines()


def in_pipe(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | environment)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder whose path has spaces and other characters, with 24 photos."""
    folder = tmp_path / "Photos of 'mine' & ours (2026)"
    folder.mkdir()
    for path in sorted(PHOTOS.glob("*.jpg"))[:24]:
        shutil.copy(path, folder / f"a copy of {path.name}")
    return folder


@pytest.mark.parametrize("columns", [40, 200])
def test_lines_of_a_terminal_are_as_long_as_it_is_wide(columns: int) -> None:
    help_lines = [line for name in ("--help", "doctor --help") for line in on_terminal(*name.split(), columns=columns)]
    lines = on_terminal("estimate", "900x4000x3000", columns=columns)

    assert max(map(len, [*help_lines, *lines])) <= columns
    assert "\x1b" not in "".join([*help_lines, *lines])
    text = " ".join(" ".join(lines).split())
    assert "within max_usd $25.00" in text
    assert any(len(line) > 100 for line in lines) == (columns == 200)


def test_output_in_a_pipe_is_that_of_a_wide_terminal_without_its_width(folder: Path) -> None:
    piped = in_pipe("estimate", folder, COLUMNS="40")
    wide = on_terminal("estimate", folder, columns=1000, NO_COLOR="1")

    assert piped.returncode == 0, piped.stderr
    assert piped.stdout.splitlines() == wide
    assert piped.stdout.startswith(f"{folder}: 24 photos, of which")


def test_reader_of_a_pipe_that_has_ended_is_no_error() -> None:
    command = f"'{sys.executable}' -m cli.main estimate 900x4000x3000 | head -1"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, cwd=ROOT)

    assert done.stdout.startswith("900x4000x3000: ")
    assert done.stderr == ""


def test_characters_that_an_encoding_does_not_have_are_escaped(tmp_path: Path) -> None:
    done = in_pipe("estimate", tmp_path / "Фото", PYTHONIOENCODING="ascii", PYTHONUTF8="0")

    assert done.returncode == 2
    assert r"\u0424\u043e\u0442\u043e: no such folder" in done.stderr


@pytest.mark.parametrize("columns", [40, 200])
@pytest.mark.parametrize("no_color", [True, False], ids=["NO_COLOR", "colour"])
def test_progress_of_a_run_fits_the_terminal_and_has_colour_only_where_it_may(
    columns: int, no_color: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1") if no_color else monkeypatch.delenv("NO_COLOR", raising=False)
    output = io.StringIO()
    Console(file=output, force_terminal=True).print(progress_tree(progress()))
    colours = re.findall(r"\x1b\[(?:\d+;)*3\d", output.getvalue())
    lines = re.sub(r"\x1b\[[\d;]*m", "", output.getvalue()).splitlines()

    assert max(map(len, lines)) <= columns
    assert bool(colours) != no_color
