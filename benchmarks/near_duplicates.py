"""Measure time and peak memory of finding near-duplicates among 20,000 images, compared with comparing all pairs.

    python -m benchmarks.near_duplicates [--images 5000,20000]

Each measurement runs in its own process, which gives its own peak memory.

* ``distinct``: random hashes; one in twenty has a near-duplicate.
* ``bursts``: the images are near-duplicates of one in a hundred images. This is the worst case for collections.
* ``all pairs``: numpy compares every hash with every other one. The Lambda function has no numpy.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import sys
import time

import numpy as np

from distillation.photos.near_duplicates import MAXIMUM_DISTANCE, NearDuplicates, group_near_duplicates

_BITS = 63


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", default="5000,20000")
    context = multiprocessing.get_context("spawn")
    for count in map(int, parser.parse_args().images.split(",")):
        for kind in ("distinct", "bursts"):
            for method in ("index", "all pairs"):
                with context.Pool(1) as pool:
                    sys.stdout.write(json.dumps(pool.apply(_measure, (kind, count, method))) + "\n")


def _measure(kind: str, count: int, method: str) -> dict[str, object]:
    hashes = _hashes(kind, count)
    before, started = _peak(), time.perf_counter()
    result = _index(hashes) if method == "index" else _all_pairs(hashes)
    seconds = time.perf_counter() - started
    return {
        "kind": kind,
        "images": count,
        "method": method,
        "result": result,
        "seconds": round(seconds, 2),
        "added_mb": round((_peak() - before) / 1024, 1),
    }


def _index(hashes: list[int]) -> str:
    hash_by_image = {f"{n:064x}": f"{value:016x}" for n, value in enumerate(hashes)}
    return f"{len(set(group_near_duplicates(hash_by_image, NearDuplicates(hash_by_image)).values()))} groups"


def _all_pairs(hashes: list[int]) -> str:
    array = np.array(hashes, dtype=np.uint64)
    pairs = sum(int((np.bitwise_count(array[n + 1 :] ^ array[n]) <= MAXIMUM_DISTANCE).sum()) for n in range(len(array)))
    return f"{pairs} pairs"


def _hashes(kind: str, count: int) -> list[int]:
    generator = random.Random(count)
    centres = [generator.getrandbits(_BITS) for _ in range(count if kind == "distinct" else count // 100)]
    if kind == "distinct":
        return [centres[n - 1] ^ 0b111 if n % 20 == 1 else centre for n, centre in enumerate(centres)]
    return [
        generator.choice(centres) ^ (1 << generator.randrange(_BITS)) ^ (1 << generator.randrange(_BITS))
        for _ in range(count)
    ]


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
