"""Run ``make demo`` or ``make local``: ``python -m local demo ...``, ``python -m local serve ...``.

Ctrl-C prints one line at any moment, even during the imports.
"""

from __future__ import annotations

import importlib
import signal
import sys
from typing import Any

_ENDINGS = {
    "demo": "demo: interrupted; everything that it started has been stopped",
    "serve": "local: everything has been stopped, and its buckets, runs and models are gone",
}


def main() -> int:
    """Run the named module and return its exit code."""
    command, *arguments = sys.argv[1:]
    signal.signal(signal.SIGINT, _interrupt)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    try:
        return importlib.import_module(f"local.{command}").main(arguments)
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{_ENDINGS[command]}\n")
        return 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _interrupt(*_: Any) -> None:
    """Stop the command. A second Ctrl-C is ignored, because it would leave processes behind."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _terminate(number: int, *_: Any) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
