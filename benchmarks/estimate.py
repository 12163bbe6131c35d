"""How fast the sizes of photos are read from their headers, beside decoding them, and what 20,000 cost to price.

    python -m benchmarks.estimate [FOLDER] [--copies 1000] [--rounds 3]

Copies of the folder's photos are measured and decoded in turns; the ratio is what to look at.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from cli.estimate import in_folder
from cli.requests import resolved
from distillation.costs.estimate import estimate_run
from distillation.costs.workload import predict_workload

_PHOTOS = Path(__file__).parents[1] / "samples" / "photos"
_DECODED = 50
"""Photos decoded a round: all of them would take minutes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=_PHOTOS)
    parser.add_argument("--copies", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    headers, decoded = [], []
    with tempfile.TemporaryDirectory() as folder:
        paths = _copies(asked.folder, Path(folder), asked.copies)
        for _ in range(asked.rounds):
            headers.append(len(paths) / _seconds(lambda: list(in_folder(Path(folder), 900))))
            decoded.append(_DECODED / _seconds(lambda: [_decode(path) for path in paths[:_DECODED]]))
    run = resolved("photos/", {"max_usd": 1000}, "dev", "us-east-1")
    seconds = _seconds(
        lambda: estimate_run(run, predict_workload(run, [(900, 600)] * 20_000, 0), {}, datetime.date(2026, 11, 25))
    )
    rate, whole = statistics.median(headers), statistics.median(decoded)
    result = {"headers_per_second": round(rate), "decoded_per_second": round(whole), "times": round(rate / whole)}
    sys.stdout.write(json.dumps(result | {"seconds_to_price_20000": round(seconds, 2)}) + "\n")


def _copies(source: Path, folder: Path, count: int) -> list[Path]:
    photos = sorted(source.glob("*.jpg"))
    for number in range(count):
        shutil.copy(photos[number % len(photos)], folder / f"{number:06}.jpg")
    return sorted(folder.iterdir())


def _decode(path: Path) -> None:
    with Image.open(path) as image:
        image.load()


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
