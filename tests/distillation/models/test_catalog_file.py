from __future__ import annotations

from pathlib import Path

import pytest

from distillation.models import catalog_file
from distillation.models.catalog_file import InvalidCatalog

LITE = "amazon.nova-lite-v1:0"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of catalog.toml that ``load`` reads."""
    copy = tmp_path / "catalog.toml"
    copy.write_bytes(catalog_file.FILE.read_bytes())
    monkeypatch.setattr(catalog_file, "FILE", copy)
    return copy


def test_file_is_read_once() -> None:
    assert catalog_file.load() is catalog_file.load()


@pytest.mark.parametrize(
    ("present", "replacement", "message"),
    [
        ('family = "nova-v1"', 'family = "nova-9"', r"models.amazon.nova-pro-v1:0: family: 'nova-9' is not defined"),
        ('quota = "nova-lite"', 'quota = "none"', rf"models.{LITE}: quota: 'none' is not defined \(defined: nova-pro"),
        (
            "profile_quota = ",
            'profile_quota = "x" # ',
            r"models.amazon.nova-pro-v1:0: profile_quota: 'x' is not",
        ),
        ('successor = "us.', 'successor = "xx.', r"models.amazon.nova-pro-v1:0: successor: 'xx.amazon.nova-2-lite"),
        (
            'priced_as = "amazon.nova-pro',
            'priced_as = "x',
            r"models.local.teacher-.*: priced_as: .* no 'input' price",
        ),
        ('image_tokens = "nova-v1"', 'image_tokens = "x"', r"families.nova-v1: image_tokens: 'x' is not defined"),
        ('hyperparameters = "nova"', 'hyperparameters = "x"', r"families.nova-v1: hyperparameters: 'x' is not defined"),
        ('micro = "nova-micro"', 'micro = "x"', r"dataset_models.micro: 'x' is not defined"),
        ("image_side = 900", "image_side = 900\nside = 9", r"families.nova-v1: side: Extra inputs are not permitted"),
        ("image_side = 900", "image_side = 0", r"families.nova-v1: image_side: .* greater than 0 \(got 0\)"),
        ("image_side = 900", "", r"families.nova-v1: image_side: Field required"),
        ("formats.document = []", "", r"families.nova-v1: formats: .* must have image, video, document"),
        ("minimum = 1,", "", r"hyperparameters.nova.epochCount: minimum: Field required"),
        (
            "[[999, 5], [5_000, 2]",
            "[[5_000, 2], [999, 5]",
            r"hyperparameters.nova.epochCount: by_records: .* must ascend",
        ),
        ("requests_per_minute = 250", 'requests_per_minute = "x"', r"quotas.nova-pro: requests_per_minute: .*got 'x'"),
        ("[profile_regions]", "[regions]", r"table 'regions' is unknown \(tables: hyperparameters, "),
    ],
)
def test_error_names_the_row_and_the_field(file: Path, present: str, replacement: str, message: str) -> None:
    text = file.read_text("utf-8")
    assert present in text
    file.write_text(text.replace(present, replacement, 1), "utf-8")

    with pytest.raises(InvalidCatalog, match=f"catalog.toml: {message}"):
        catalog_file.load()


def test_missing_table_is_named(file: Path) -> None:
    file.write_text(file.read_text("utf-8").partition("[dataset_models]")[0], "utf-8")

    with pytest.raises(InvalidCatalog, match="table 'dataset_models' is missing"):
        catalog_file.load()
