"""What finding near-duplicates among 20,000 images costs: time and peak memory, beside comparing all pairs.

    python -m benchmarks.split [--images 5000,20000]

Each kind and size runs in its own process, so that its peak memory is its own. ``unlike``: hashes drawn at random, one
in twenty with a near-duplicate. ``bursts``: all images lie around one in a hundred, the worst that collections of
bursts come to. Beside it numpy compares every hash with every other, which a function without numpy cannot.
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

from distillation.photos.near_duplicates import NEAR, NearDuplicates, group_near_duplicates

_BITS = 63


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", default="5000,20000")
    context = multiprocessing.get_context("spawn")
    for count in map(int, parser.parse_args().images.split(",")):
        for kind in ("unlike", "bursts"):
            for way in ("ours", "all pairs"):
                with context.Pool(1) as pool:
                    sys.stdout.write(json.dumps(pool.apply(_measure, (kind, count, way))) + "\n")


def _measure(kind: str, count: int, way: str) -> dict[str, object]:
    hashes = _hashes(kind, count)
    before, started = _peak(), time.perf_counter()
    found = _ours(hashes) if way == "ours" else _all_pairs(hashes)
    seconds = time.perf_counter() - started
    return {
        "kind": kind,
        "images": count,
        "way": way,
        "found": found,
        "seconds": round(seconds, 2),
        "added_mb": round((_peak() - before) / 1024, 1),
    }


def _ours(hashes: list[int]) -> str:
    hash_of = {f"{n:064x}": f"{found:016x}" for n, found in enumerate(hashes)}
    return f"{len(set(group_near_duplicates(hash_of, NearDuplicates(hash_of)).values()))} groups"


def _all_pairs(hashes: list[int]) -> str:
    array = np.array(hashes, dtype=np.uint64)
    pairs = sum(int((np.bitwise_count(array[n + 1 :] ^ array[n]) <= NEAR).sum()) for n in range(len(array)))
    return f"{pairs} pairs"


def _hashes(kind: str, count: int) -> list[int]:
    drawn = random.Random(count)
    centres = [drawn.getrandbits(_BITS) for _ in range(count if kind == "unlike" else count // 100)]
    if kind == "unlike":
        return [centres[n - 1] ^ 0b111 if n % 20 == 1 else centre for n, centre in enumerate(centres)]
    return [drawn.choice(centres) ^ (1 << drawn.randrange(_BITS)) ^ (1 << drawn.randrange(_BITS)) for _ in range(count)]


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
