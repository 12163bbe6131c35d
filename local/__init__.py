"""The same pipeline on one machine: an AWS emulator, a Bedrock endpoint with small models, and a demo."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
"""Folder of everything that can be made again: caches and the output of the demo."""
