"""Synthesise a stage as ``cdk synth`` does, in this process and with empty layers.

The layers have wheels for Lambda on arm64. On this machine the functions import the same packages from the venv.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from app import Stacks, build

ROOT = Path(__file__).parents[1]


def synthesise(stage: str, out: Path, **settings: Any) -> tuple[cdk.App, Stacks]:
    """Build a stage with the feature flags of cdk.json; ``app.synth()`` writes the assembly to ``out``.

    ``settings`` replace those of the stage in cdk.json.
    """
    context = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"]
    context["stages"][stage] |= settings
    app = cdk.App(context=context | {"stage": stage, "aws:cdk:bundling-stacks": []}, outdir=str(out))
    return app, build(app)


if __name__ == "__main__":
    synthesise(sys.argv[1], Path(sys.argv[2]))[0].synth()
