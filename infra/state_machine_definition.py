"""The state machine's definition: YAML in ``statemachine/``, JSON in the template.

``python -m infra.state_machine_definition`` writes the JSON to standard output.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml

SOURCE = Path(__file__).parents[1] / "statemachine" / "distillation.asl.yaml"


def render() -> str:
    """Return the definition as JSON text, with anchors resolved and without the keys that start with ``x-``."""
    # libyaml is ten times as fast as the parser in Python.
    document = yaml.load(SOURCE.read_text("utf-8"), yaml.CSafeLoader)
    definition = {key: value for key, value in document.items() if not key.startswith("x-")}
    return json.dumps(definition, ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
