"""The commands of docs/exports.md that other programs run."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from cli.xmp import merge_file
from docs.generate import ROOT

PAGE = (ROOT / "docs" / "exports.md").read_text("utf-8")


@pytest.mark.skipif(not shutil.which("exiftool"), reason="opt-in: install exiftool")
def test_exiftool_embeds_the_sidecars(tmp_path: Path) -> None:
    photo = next((ROOT / "samples" / "photos").glob("*.jpg"))
    (tmp_path / "sub folder").mkdir()
    for name in ("a.jpg", "sub folder/b.c.jpeg", "without.jpg"):
        shutil.copy(photo, tmp_path / name)
    for name in ("a.jpg.xmp", "sub folder/b.c.jpeg.xmp"):
        merge_file(tmp_path / name, ["dog", "Straße"], "A dog.")
    (command,) = re.findall(r"^exiftool -.*$", PAGE, re.MULTILINE)
    subprocess.run([*shlex.split(command)[:-1], str(tmp_path)], capture_output=True, check=False)

    for name in ("a.jpg", "sub folder/b.c.jpeg"):
        read = ["exiftool", "-json", "-XMP-dc:all", str(tmp_path / name)]
        tags = json.loads(subprocess.run(read, capture_output=True, check=True).stdout)[0]
        assert (tags["Subject"], tags["Description"]) == (["dog", "Straße"], "A dog.")
    assert (tmp_path / "a.jpg_original").read_bytes() == photo.read_bytes()
    assert (tmp_path / "without.jpg").read_bytes() == photo.read_bytes()
