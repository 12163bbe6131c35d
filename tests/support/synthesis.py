"""Synthesise a stage in this process, with other settings than those in cdk.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aws_cdk as cdk

from app import Stacks, build
from local import ROOT


def synthesise(stage: str, out: Path, **settings: Any) -> tuple[cdk.App, Stacks]:
    """Build a stage with the feature flags of cdk.json; ``app.synth()`` writes the assembly to ``out``.

    ``settings`` replace those of the stage in cdk.json. The layers are not bundled.
    """
    context = json.loads((ROOT / "cdk.json").read_text("utf-8"))["context"]
    context["stages"][stage] |= settings
    app = cdk.App(context=context | {"stage": stage, "aws:cdk:bundling-stacks": []}, outdir=str(out))
    return app, build(app)
