"""The same pipeline on one machine: an AWS emulator, a Bedrock endpoint with small models, and a demo."""

from __future__ import annotations

import os
from pathlib import Path

# Before the first import of numpy. The matrices here are small, and threads of OpenBLAS that wait for work keep the
# cores busy: training on 200 records takes ten times the processor time with two threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
"""Folder of everything that can be made again: caches and the output of the demo."""
