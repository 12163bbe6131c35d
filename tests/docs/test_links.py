"""Links of the README, CONTRIBUTING, CHANGELOG and the pages of docs/."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from docs.generate import ROOT, WIDTH

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
BLOCK = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
CODE = re.compile(rf"{BLOCK.pattern}|`[^`\n]*`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(\s*([^)\s]+)\s*\)|\bsrc(?:set)?=\"([^\"]+)\"")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def links(page: Path) -> list[str]:
    """Return the relative targets of a page's links, outside of code."""
    text = re.sub(r"\s+", " ", CODE.sub("code", page.read_text("utf-8")))
    targets = [markdown or html for markdown, html in LINK.findall(text)]
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    text = BLOCK.sub("", page.read_text("utf-8"))
    found: Counter[str] = Counter()
    result = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")
        result.add(f"{slug}-{found[slug]}" if found[slug] else slug)
        found[slug] += 1
    return result


def broken(page: Path, target: str) -> bool:
    """Return whether the file or the anchor of a link does not exist."""
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    return not file.exists() or bool(anchor and anchor not in anchors(file))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_and_anchors_of_relative_links_exist(page: Path) -> None:
    assert [target for target in links(page) if broken(page, target)] == []


def test_link_to_a_missing_file_or_anchor_is_broken() -> None:
    page = ROOT / "README.md"

    assert broken(page, "docs/no-such-page.md")
    assert broken(page, "docs/glossary.md#no-such-heading")
    assert not broken(page, "docs/glossary.md#photos-and-answers")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_lines_outside_of_tables_have_at_most_100_columns(page: Path) -> None:
    lines = BLOCK.sub("", page.read_text("utf-8")).splitlines()

    # A link cannot be wrapped.
    assert [line for line in lines if len(line) > WIDTH and " " in line.strip(" *") and line[0] not in "|<"] == []
