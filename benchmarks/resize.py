"""How fast photos are resized on one core, and how close to full-resolution LANCZOS, beside three others.

    apt-get download lomiri-wallpapers-16.04 lomiri-wallpapers-20.04   # or any folder of large photos
    for package in lomiri-wallpapers-*.deb; do dpkg-deb -x $package build/photos; done
    build/bench/bin/python -m benchmarks.resize build/photos [--rounds 5] [--side 900]

Photos are JPEGs of the folder with 6 megapixels or more, reduced to 8 where they have more and saved as cameras save
them (baseline, quality 90), and the same at 0.6 megapixels; none is ever enlarged. In one process, in turns: ours,
alone and with the hash and flags that the pipeline keeps beside it; a loop of plain Pillow with LANCZOS; img2dataset's
Resizer; pyvips; and the floor: decoding alone, at an eighth. The others encode at quality 85, ours as the pipeline
does. Ratios are medians over the rounds. PSNR is of the decoded result against the photo at full resolution, resized
with LANCZOS and not encoded.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from math import log10
from pathlib import Path
from typing import Any

os.environ["VIPS_CONCURRENCY"] = "1"

from PIL import Image, ImageChops, ImageStat

from distillation.photos.resizer import resize

LARGE_FROM, LARGE_TO, MEDIUM = 6.0, 8.0, 0.6
"""Megapixels."""
CAMERA_QUALITY = 90
OTHERS_QUALITY = 85

Way = Callable[[bytes, int], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=900)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    ways = _ways()
    for kind, photos in _photos(asked.folder).items():
        seconds = _seconds(ways, photos, asked.side, asked.rounds)
        quality = _quality({"ours": _ours, "naive": _naive}, photos, asked.side)
        _say({"photos": kind, "count": len(photos), **_speed(seconds, len(photos)), **quality})


def _ways() -> dict[str, Way]:
    ways = {"ours": _ours, "ours with hash and flags": _ours_and_looks, "naive": _naive, "floor": _floor}
    for name, make in (("img2dataset", _img2dataset), ("pyvips", _pyvips)):
        try:
            ways[name] = make()
        except ImportError as error:
            _say({"left out": name, "reason": str(error)})
    return ways


def _ours(photo: bytes, side: int) -> bytes:
    return resize(photo, side).jpeg


def _ours_and_looks(photo: bytes, side: int) -> None:
    resize(photo, side).quality()


def _naive(photo: bytes, side: int) -> bytes:
    image = Image.open(io.BytesIO(photo)).convert("RGB")
    scale = min(1.0, side / max(image.size))
    small = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    output = io.BytesIO()
    small.save(output, "JPEG", quality=OTHERS_QUALITY)
    return output.getvalue()


def _floor(photo: bytes, side: int) -> None:
    image = Image.open(io.BytesIO(photo))
    image.draft("RGB", (image.width // 8, image.height // 8))
    image.load()


def _img2dataset() -> Way:
    import cv2
    from img2dataset.resizer import Resizer  # pyright: ignore[reportMissingImports] - benchmarks/requirements.txt

    cv2.setNumThreads(1)
    resizers: dict[int, Any] = {}

    def way(photo: bytes, side: int) -> bytes:
        if side not in resizers:
            resizers[side] = Resizer(
                side, "keep_ratio_largest", resize_only_if_bigger=True, encode_quality=OTHERS_QUALITY
            )
        return resizers[side](io.BytesIO(photo))[0]

    return way


def _pyvips() -> Way:
    import pyvips  # pyright: ignore[reportMissingImports] - benchmarks/requirements.txt

    def way(photo: bytes, side: int) -> bytes:
        image = pyvips.Image.thumbnail_buffer(photo, side, height=side, size="down")
        return image.write_to_buffer(".jpg", Q=OTHERS_QUALITY, keep="none")

    return way


def _photos(folder: Path) -> dict[str, list[bytes]]:
    large, medium = [], []
    for path in sorted(folder.rglob("*.jp*g")):
        with Image.open(path) as image:
            if path.is_symlink() or image.width * image.height < LARGE_FROM * 1e6:
                continue
            photo = image.convert("RGB")
        large.append(_as_camera(photo, LARGE_TO))
        medium.append(_as_camera(photo, MEDIUM))
    if not large:
        sys.exit(f"no JPEG of {LARGE_FROM} megapixels or more below {folder}")
    return {"6 to 8 megapixels": large, "0.6 megapixels": medium}


def _as_camera(photo: Image.Image, megapixels: float) -> bytes:
    scale = min(1.0, (megapixels * 1e6 / (photo.width * photo.height)) ** 0.5)
    output = io.BytesIO()
    reduced = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.LANCZOS)
    reduced.save(output, "JPEG", quality=CAMERA_QUALITY)
    return output.getvalue()


def _seconds(ways: dict[str, Way], photos: list[bytes], side: int, rounds: int) -> list[dict[str, float]]:
    found = []
    for _ in range(rounds + 1):
        totals = dict.fromkeys(ways, 0.0)
        for photo in photos:
            for name, way in ways.items():
                started = time.process_time()
                way(photo, side)
                totals[name] += time.process_time() - started
        found.append(totals)
    return found[1:]  # The first round warms up.


def _speed(rounds: list[dict[str, float]], count: int) -> dict[str, Any]:
    def ratio(name: str, ours: str = "ours") -> float:
        return round(statistics.median(one[name] / one[ours] for one in rounds), 2)

    others = [name for name in rounds[0] if name != "floor" and not name.startswith("ours")]
    both = "ours with hash and flags"
    return {
        "images a second": {
            name: round(count / statistics.median(one[name] for one in rounds), 1) for name in rounds[0]
        },
        "times as fast as": {name: ratio(name) for name in others},
        "with hash and flags": {name: ratio(name, both) for name in others},
        "of the floor": ratio("floor"),
    }


def _quality(ways: dict[str, Way], photos: list[bytes], side: int) -> dict[str, Any]:
    psnr: dict[str, list[float]] = {name: [] for name in ways}
    sizes: dict[str, list[int]] = {name: [] for name in ways}
    for photo in photos:
        image = Image.open(io.BytesIO(photo)).convert("RGB")
        scale = min(1.0, side / max(image.size))
        wanted = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
        for name, way in ways.items():
            jpeg = way(photo, side)
            psnr[name].append(_psnr(Image.open(io.BytesIO(jpeg)), wanted))
            sizes[name].append(len(jpeg))
    below = [naive - ours for naive, ours in zip(psnr["naive"], psnr["ours"], strict=True)]
    return {
        "median PSNR": {name: round(statistics.median(found), 2) for name, found in psnr.items()},
        "most below naive": round(max(below), 2),
        "mean bytes": {name: round(statistics.mean(found)) for name, found in sizes.items()},
    }


def _psnr(image: Image.Image, wanted: Image.Image) -> float:
    squares = ImageStat.Stat(ImageChops.difference(image, wanted)).sum2
    return 10 * log10(255**2 / max(1e-9, sum(squares) / (3 * wanted.width * wanted.height)))


def _say(row: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
