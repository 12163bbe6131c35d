"""Measure resizing speed on one core and quality against full-resolution LANCZOS, compared with other libraries.

    apt-get download lomiri-wallpapers-16.04 lomiri-wallpapers-20.04   # or any folder of large photos
    for package in lomiri-wallpapers-*.deb; do dpkg-deb -x $package build/photos; done
    build/bench/bin/python -m benchmarks.resize build/photos [--rounds 5] [--side 900]

The large photos are the folder's JPEGs with at least 6 megapixels, reduced to at most 8 and saved as cameras do
(baseline, quality 90). The medium ones are the same photos at 0.6 megapixels. No photo is enlarged.
One process runs these methods alternately:

* "ours": ``distillation.photos.resizer``, alone and with perceptual hash and quality flags;
* "naive": plain Pillow with LANCZOS;
* img2dataset's Resizer and pyvips, if they are installed;
* "floor": decoding alone, at an eighth of the size.

The other libraries encode at quality 85, ours as the pipeline does. Ratios are medians over the rounds. PSNR compares
the decoded result with the photo at full resolution, resized with LANCZOS and not encoded.
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

from distillation.photos.perceptual_hash import perceptual_hash
from distillation.photos.quality import image_quality
from distillation.photos.resizer import resize

LARGE_MINIMUM, LARGE_MAXIMUM, MEDIUM = 6.0, 8.0, 0.6
"""Sizes of the photos, in megapixels."""
CAMERA_QUALITY = 90
OTHERS_QUALITY = 85

Method = Callable[[bytes, int], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=900)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    methods = _methods()
    for kind, photos in _photos(arguments.folder).items():
        seconds = _seconds(methods, photos, arguments.side, arguments.rounds)
        quality = _quality({"ours": _ours, "naive": _naive}, photos, arguments.side)
        _print_row({"photos": kind, "count": len(photos), **_speed(seconds, len(photos)), **quality})


def _methods() -> dict[str, Method]:
    methods = {"ours": _ours, "ours with hash and flags": _ours_with_hash_and_flags, "naive": _naive, "floor": _floor}
    for name, make in (("img2dataset", _img2dataset), ("pyvips", _pyvips)):
        try:
            methods[name] = make()
        except ImportError as error:
            _print_row({"left out": name, "reason": str(error)})
    return methods


def _ours(photo: bytes, side: int) -> bytes:
    return resize(photo, side).jpeg


def _ours_with_hash_and_flags(photo: bytes, side: int) -> None:
    greyscale = resize(photo, side).pixels.convert("L")
    image_quality(greyscale)
    perceptual_hash(greyscale)


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


def _img2dataset() -> Method:
    import cv2
    from img2dataset.resizer import Resizer  # pyright: ignore[reportMissingImports] - benchmarks/requirements.txt

    cv2.setNumThreads(1)
    resizers: dict[int, Any] = {}

    def method(photo: bytes, side: int) -> bytes:
        if side not in resizers:
            resizers[side] = Resizer(
                side, "keep_ratio_largest", resize_only_if_bigger=True, encode_quality=OTHERS_QUALITY
            )
        return resizers[side](io.BytesIO(photo))[0]

    return method


def _pyvips() -> Method:
    import pyvips  # pyright: ignore[reportMissingImports] - benchmarks/requirements.txt

    def method(photo: bytes, side: int) -> bytes:
        image = pyvips.Image.thumbnail_buffer(photo, side, height=side, size="down")
        return image.write_to_buffer(".jpg", Q=OTHERS_QUALITY, keep="none")

    return method


def _photos(folder: Path) -> dict[str, list[bytes]]:
    large, medium = [], []
    for path in sorted(folder.rglob("*.jp*g")):
        with Image.open(path) as image:
            if path.is_symlink() or image.width * image.height < LARGE_MINIMUM * 1e6:
                continue
            photo = image.convert("RGB")
        large.append(_as_camera(photo, LARGE_MAXIMUM))
        medium.append(_as_camera(photo, MEDIUM))
    if not large:
        sys.exit(f"{folder} contains no JPEG with at least {LARGE_MINIMUM} megapixels. Name another folder.")
    return {"6 to 8 megapixels": large, "0.6 megapixels": medium}


def _as_camera(photo: Image.Image, megapixels: float) -> bytes:
    scale = min(1.0, (megapixels * 1e6 / (photo.width * photo.height)) ** 0.5)
    output = io.BytesIO()
    reduced = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.LANCZOS)
    reduced.save(output, "JPEG", quality=CAMERA_QUALITY)
    return output.getvalue()


def _seconds(methods: dict[str, Method], photos: list[bytes], side: int, rounds: int) -> list[dict[str, float]]:
    totals_by_round = []
    for _ in range(rounds + 1):
        totals = dict.fromkeys(methods, 0.0)
        for photo in photos:
            for name, method in methods.items():
                started = time.process_time()
                method(photo, side)
                totals[name] += time.process_time() - started
        totals_by_round.append(totals)
    return totals_by_round[1:]  # The first round is a warm-up.


def _speed(rounds: list[dict[str, float]], count: int) -> dict[str, Any]:
    def ratio(name: str, ours: str = "ours") -> float:
        return round(statistics.median(totals[name] / totals[ours] for totals in rounds), 2)

    others = [name for name in rounds[0] if name != "floor" and not name.startswith("ours")]
    complete = "ours with hash and flags"
    return {
        "images a second": {
            name: round(count / statistics.median(totals[name] for totals in rounds), 1) for name in rounds[0]
        },
        "times as fast as": {name: ratio(name) for name in others},
        "with hash and flags": {name: ratio(name, complete) for name in others},
        "of the floor": ratio("floor"),
    }


def _quality(methods: dict[str, Method], photos: list[bytes], side: int) -> dict[str, Any]:
    psnr: dict[str, list[float]] = {name: [] for name in methods}
    sizes: dict[str, list[int]] = {name: [] for name in methods}
    for photo in photos:
        image = Image.open(io.BytesIO(photo)).convert("RGB")
        scale = min(1.0, side / max(image.size))
        reference = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
        for name, method in methods.items():
            jpeg = method(photo, side)
            psnr[name].append(_psnr(Image.open(io.BytesIO(jpeg)), reference))
            sizes[name].append(len(jpeg))
    deficits = [naive - ours for naive, ours in zip(psnr["naive"], psnr["ours"], strict=True)]
    return {
        "median PSNR": {name: round(statistics.median(values), 2) for name, values in psnr.items()},
        "most below naive": round(max(deficits), 2),
        "mean bytes": {name: round(statistics.mean(values)) for name, values in sizes.items()},
    }


def _psnr(image: Image.Image, reference: Image.Image) -> float:
    squares = ImageStat.Stat(ImageChops.difference(image, reference)).sum2
    return 10 * log10(255**2 / max(1e-9, sum(squares) / (3 * reference.width * reference.height)))


def _print_row(row: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
