"""Run the command ``distill`` in this process."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from cli.main import app


def distill(*arguments: str | Path) -> Result:
    """Run ``distill``; the result has ``exit_code``, ``stdout`` and ``stderr``."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])
