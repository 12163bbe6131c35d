from __future__ import annotations

from pathlib import Path

import pytest

from infra.code_version import code_version


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("name", "deployed"),
    [
        ("distillation/inference/labelling.py", True),
        ("distillation/models/catalog.toml", True),
        ("distillation/models/prices.toml", True),
        ("distillation/evaluation/report.css", True),
        ("distillation/evaluation/report.js", True),
        ("infra/layers/common.txt", True),
        ("lambdas/label.py", True),
        ("samples/prompts/keywords.toml", True),
        ("statemachine/distillation.asl.yaml", True),
        ("lambdas/__pycache__/label.pyc", False),
        ("infra/layers/common.in", False),
        ("docs/costs.md", False),
    ],
)
def test_version_changes_exactly_when_a_deployed_file_changes(tmp_path: Path, name: str, deployed: bool) -> None:
    write(tmp_path, name, "1")
    earlier = code_version(tmp_path)
    write(tmp_path, name, "2")

    assert (code_version(tmp_path) != earlier) == deployed
