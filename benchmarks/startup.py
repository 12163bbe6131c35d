"""Measure how long ``distill --help`` takes, as a multiple of a bare Python start. The limit is 8.

    python -m benchmarks.startup [--rounds 15]

Both commands run alternately, so that other load on the machine affects both. ``times`` is the ratio of the medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

_COMMANDS = {"nothing": ["-c", "pass"], "help": ["-m", "cli.main", "--help"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    durations: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    for _ in range(parser.parse_args().rounds):
        for name, command in _COMMANDS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
            durations[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(seconds) for name, seconds in durations.items()}
    milliseconds = {f"{name}_ms": round(1000 * seconds) for name, seconds in medians.items()}
    sys.stdout.write(json.dumps({**milliseconds, "times": round(medians["help"] / medians["nothing"], 1)}) + "\n")


if __name__ == "__main__":
    main()
