from __future__ import annotations

import re
import tomllib

from docs.generate import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_newest_version_of_the_changelog_is_that_of_the_package() -> None:
    titles = re.findall(r"^## (\S+) - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)

    assert titles[0] == PROJECT["version"]


def test_package_has_the_licence_that_it_names() -> None:
    assert PROJECT["license"] == "Apache-2.0"
    assert "LICENSE" in PROJECT["license-files"]
    assert "Apache License\n                           Version 2.0" in (ROOT / "LICENSE").read_text("utf-8")
