"""Measure peak memory for the largest photo of each format: decoding, resizing, encoding, hash and flags.

    python -m benchmarks.photo_memory

For each file format, create a photo of noise with the format's maximum number of pixels, and one of 100 megapixels.
Resize each in its own process and report the peak memory of the process, including Python (Linux only).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pillow_heif
from PIL import Image

from distillation.photos.perceptual_hash import perceptual_hash
from distillation.photos.quality import image_quality
from distillation.photos.resizer import MAXIMUM_PIXELS, PhotoRefused, resize

SIDE = 900
LARGE = 100_000_000
KINDS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("JPEG", "RGB", {}),
    ("JPEG", "CMYK", {}),
    ("JPEG", "RGB", {"progressive": True}),
    ("PNG", "RGBA", {"compress_level": 1}),
    ("PNG", "P", {"compress_level": 1}),
    ("WEBP", "RGB", {"quality": 10, "method": 0}),
    ("WEBP", "RGBA", {"lossless": True, "quality": 0, "method": 0}),
    ("GIF", "P", {}),
    ("TIFF", "RGBA", {}),
    ("TIFF", "CMYK", {"compression": "tiff_lzw"}),
    ("BMP", "RGB", {}),
    ("HEIF", "RGB", {"quality": 10, "tile_size": 512}),
    ("AVIF", "RGB", {"quality": 20, "speed": 10, "subsampling": "4:4:4"}),
)


def main() -> None:
    if len(sys.argv) > 1:
        _print_row(_resize_and_measure(Path(sys.argv[1])))
        return
    Image.MAX_IMAGE_PIXELS = None
    for kind, mode, options in KINDS:
        for pixels in sorted({MAXIMUM_PIXELS[kind], LARGE}):
            if kind not in ("AVIF", "HEIF") or pixels < LARGE:  # These take minutes to encode.
                _measure(kind, mode, options, pixels)


def _measure(kind: str, mode: str, options: dict[str, Any], pixels: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "photo"
        photo = _noise_photo(pixels, mode)
        if kind == "HEIF":
            pillow_heif.from_pillow(photo).save(file, **options)
        else:
            photo.save(file, kind, **options)
        process = subprocess.run(
            [sys.executable, "-m", __spec__.name, file], capture_output=True, text=True, check=True
        )
    _print_row({"kind": f"{kind} {mode}", **options, "megapixels": pixels // 1_000_000, **json.loads(process.stdout)})


def _noise_photo(pixels: int, mode: str) -> Image.Image:
    width = int((pixels * 4 / 3) ** 0.5)
    height = pixels // width
    tile, photo = Image.effect_noise((512, 512), 60), Image.new("L", (width, height))
    for left in range(0, width, 512):
        for top in range(0, height, 512):
            photo.paste(tile, (left, top))
    return photo.convert(mode)


def _resize_and_measure(file: Path) -> dict[str, Any]:
    body = file.read_bytes()
    try:
        greyscale = resize(body, SIDE).pixels.convert("L")
        image_quality(greyscale)
        perceptual_hash(greyscale)
        outcome = "resized"
    except PhotoRefused as refusal:
        outcome = f"refused: {refusal}"
    status = Path("/proc/self/status").read_text()
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return {"file MB": len(body) // 1_000_000, "peak MB": int(peak) // 1024, "outcome": outcome}


def _print_row(row: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
