from __future__ import annotations

from pathlib import Path

import pytest

from cli.console import CommandError
from cli.requests import read_request, request_from_manifest
from distillation import keys
from tests.support.builders import any_manifest, any_run
from tests.support.fakes import bucket


def test_run_is_repeated_from_its_manifest_by_file_or_by_name(tmp_path: Path) -> None:
    manifest = any_manifest(any_run()).model_dump_json()
    path = tmp_path / "manifest.json"
    path.write_text(manifest)
    data = bucket(**{keys.manifest_key("r"): manifest.encode()})
    by_name = request_from_manifest("r", lambda: data)

    assert by_name == request_from_manifest(str(path), bucket)
    assert by_name["teacher"] == "amazon.nova-pro-v1:0"
    with pytest.raises(CommandError, match="neither a file nor a run"):
        request_from_manifest("absent", lambda: data)


def test_collection_in_the_request_file_must_be_that_of_the_command(tmp_path: Path) -> None:
    path = tmp_path / "distill.json"
    path.write_text('{"collection": "holiday/", "until": "Split"}')

    assert read_request(path, "holiday/") == read_request(path, None) == {"until": "Split"}
    with pytest.raises(CommandError, match="'holiday/', but the command has 'work/'"):
        read_request(path, "work/")


def test_collection_in_the_request_file_is_cut_in_the_error(tmp_path: Path) -> None:
    path = tmp_path / "distill.json"
    path.write_text(f'{{"collection": "{"k" * 250_000}/"}}')

    with pytest.raises(CommandError, match="Remove the field from the file") as caught:
        read_request(path, "work/")

    assert len(str(caught.value)) < 1000


def test_json_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)

    with pytest.raises(CommandError, match="cannot be read: maximum recursion depth"):
        read_request(path, "holiday/")
    with pytest.raises(CommandError, match="is not valid JSON: maximum recursion depth"):
        request_from_manifest(str(path), bucket)
