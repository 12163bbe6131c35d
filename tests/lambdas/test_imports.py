from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
STEPS = sorted(path.stem for path in (ROOT / "lambdas").glob("*.py") if path.stem not in ("__init__", "runtime"))
EVALUATE_LAYER = {"jinja2", "lap", "matplotlib", "numpy", "pluralizer", "rapidfuzz"}
"""Top-level modules of infra/layers/evaluate.in, which other functions do not have. ``lapx`` is imported as ``lap``."""
HAVE_THE_LAYER = ("baseline", "evaluate", "write_results")
IMPORT_STEPS = """
import importlib, json, sys
loaded = {}
for step in sys.argv[1:]:
    importlib.import_module(f"lambdas.{step}")
    loaded[step] = sorted(sys.modules)
print(json.dumps(loaded))
"""


def evaluate_layer_modules(steps: list[str]) -> dict[str, set[str]]:
    """Return the modules of Evaluate's layer that one fresh interpreter has loaded after importing each handler."""
    command = [sys.executable, "-c", IMPORT_STEPS, *steps]
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return {step: EVALUATE_LAYER.intersection(modules) for step, modules in json.loads(result.stdout).items()}


def test_only_steps_that_score_answers_import_packages_of_their_layer() -> None:
    other_steps = [step for step in STEPS if step not in HAVE_THE_LAYER]

    assert evaluate_layer_modules(other_steps) == {step: set() for step in other_steps}


def test_evaluate_imports_numpy_matplotlib_and_jinja2_and_the_others_only_what_scores_answers() -> None:
    modules = {step: evaluate_layer_modules([step])[step] for step in HAVE_THE_LAYER}

    assert {"jinja2", "matplotlib", "numpy"} <= modules["evaluate"]
    for step in ("baseline", "write_results"):
        assert "numpy" in modules[step]
        assert not {"jinja2", "matplotlib"} & modules[step]
