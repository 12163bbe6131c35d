"""Measure how fast photo sizes are read from headers, compared with decoding, and how long 20,000 photos take to price.

    python -m benchmarks.estimate [FOLDER] [--copies 1000] [--rounds 3]

Copies of the folder's photos are measured and decoded alternately. ``times`` is the ratio of the two speeds.
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

from cli.estimate import measure_folder
from cli.requests import resolve_request
from distillation.costs.estimate import estimate_run
from distillation.costs.workload import predict_workload

_PHOTOS = Path(__file__).parents[1] / "samples" / "photos"
_DECODED = 50
"""Number of photos decoded per round; all of them would take minutes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=_PHOTOS)
    parser.add_argument("--copies", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    header_rates, decode_rates = [], []
    with tempfile.TemporaryDirectory() as folder:
        paths = _copy_photos(arguments.folder, Path(folder), arguments.copies)
        for _ in range(arguments.rounds):
            header_rates.append(len(paths) / _seconds(lambda: list(measure_folder(Path(folder), 900))))
            decode_rates.append(_DECODED / _seconds(lambda: [_decode(path) for path in paths[:_DECODED]]))
    run = resolve_request("photos/", {"max_usd": 200}, "dev", "us-east-1")
    seconds = _seconds(
        lambda: estimate_run(run, predict_workload(run, [(900, 600)] * 20_000, 0), {}, datetime.date(2026, 11, 25))
    )
    header_rate, decode_rate = statistics.median(header_rates), statistics.median(decode_rates)
    result = {
        "headers_per_second": round(header_rate),
        "decoded_per_second": round(decode_rate),
        "times": round(header_rate / decode_rate),
    }
    sys.stdout.write(json.dumps(result | {"seconds_to_price_20000": round(seconds, 2)}) + "\n")


def _copy_photos(source: Path, folder: Path, count: int) -> list[Path]:
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
