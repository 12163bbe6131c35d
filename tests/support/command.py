"""Run the command ``distill`` in this process."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from typer import testing

from cli.main import app

# The runner would build the command from its functions' signatures anew each time.
_testing: Any = testing
_testing._get_command = cache(_testing._get_command)


def distill(*arguments: str | Path) -> testing.Result:
    """Run ``distill``; the result has ``exit_code``, ``stdout`` and ``stderr``."""
    return testing.CliRunner().invoke(app, [str(argument) for argument in arguments])
