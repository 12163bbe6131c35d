"""How long ``distill --help`` takes, in multiples of a Python that does nothing.

    python -m benchmarks.startup [--rounds 15]

Both are run in turns, so that what else the machine does hits both; the medians' ratio is what to look at.
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
    taken: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    for _ in range(parser.parse_args().rounds):
        for name, command in _COMMANDS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
            taken[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(seconds) for name, seconds in taken.items()}
    milliseconds = {f"{name}_ms": round(1000 * seconds) for name, seconds in medians.items()}
    sys.stdout.write(json.dumps({**milliseconds, "times": round(medians["help"] / medians["nothing"], 1)}) + "\n")


if __name__ == "__main__":
    main()
