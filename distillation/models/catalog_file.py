"""Read and validate catalog.toml.

A row names other rows: a model its family, a family its image token rule. Reading replaces the names by the rows.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from distillation.models import image_tokens
from distillation.models.model import DefaultQuota, Family, HyperparameterRange, Model, Row

FILE = Path(__file__).with_name("catalog.toml")
_TABLES = ("hyperparameters", "families", "quotas", "models", "profile_regions", "dataset_models")
_REQUIRED_USES = ("input", "output")

AnyRow = TypeVar("AnyRow", bound=Row)


class InvalidCatalog(ValueError):
    """catalog.toml has a row that cannot be used; the message names the row and the field."""


@dataclass(frozen=True)
class Catalog:
    """The content of catalog.toml."""

    families: Mapping[str, Family]
    """Families by name."""
    models: Mapping[str, Model]
    """Models by id."""
    profile_regions: Mapping[str, tuple[str, ...]]
    """Regions of a cross-Region inference profile, by the prefix of its id; empty for every Region."""
    dataset_families: Mapping[str, Family]
    """Families by the model names that nova_ft_dataset_validator.py accepts."""


def load() -> Catalog:
    """Return the catalog; the file is read once. Raises ``InvalidCatalog``."""
    return _read(FILE)


@cache
def _read(path: Path) -> Catalog:
    tables: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    _check_tables(tables)
    ranges = {
        name: _rows(HyperparameterRange, f"hyperparameters.{name}", table)
        for name, table in tables["hyperparameters"].items()
    }
    quotas = _rows(DefaultQuota, "quotas", tables["quotas"])
    families = _rows(
        Family,
        "families",
        tables["families"],
        key_field="name",
        references={"image_tokens": image_tokens.RULES, "hyperparameters": ranges},
    )
    models = _rows(
        Model,
        "models",
        tables["models"],
        key_field="id",
        references={"family": families, "quota": quotas, "profile_quota": quotas},
    )
    _check_models(models)
    return Catalog(
        families=families,
        models=models,
        profile_regions={prefix: tuple(regions) for prefix, regions in tables["profile_regions"].items()},
        dataset_families={
            name: _referenced(f"dataset_models.{name}", family, families)
            for name, family in tables["dataset_models"].items()
        },
    )


def _rows(
    kind: type[AnyRow],
    table: str,
    rows: Mapping[str, dict[str, Any]],
    *,
    key_field: str | None = None,
    references: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, AnyRow]:
    """Validate the rows of one table.

    ``key_field`` is the field that repeats the key of a row. ``references`` has the named values of a field.
    """
    validated: dict[str, AnyRow] = {}
    for key, row in rows.items():
        where = f"{table}.{key}"
        values = {key_field: key, **row} if key_field else dict(row)
        for field, named in (references or {}).items():
            if field in row:
                values[field] = _referenced(f"{where}: {field}", row[field], named)
        try:
            validated[key] = kind.model_validate(values)
        except ValidationError as error:
            problems = "; ".join(_problem(detail) for detail in error.errors())
            raise InvalidCatalog(f"{FILE.name}: {where}: {problems}") from None
    return validated


def _problem(detail: Any) -> str:
    """Return ``<field>: <problem>`` for one error of pydantic, with the value unless the field is missing."""
    value = "" if detail["type"] == "missing" else f" (got {detail['input']!r})"
    return f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']}{value}"


def _referenced(where: str, name: Any, named: Mapping[str, Any]) -> Any:
    """Return the value called ``name``. Raises ``InvalidCatalog``, which says ``where`` the name is used."""
    if name not in named:
        raise InvalidCatalog(f"{FILE.name}: {where}: {name!r} is not defined (defined: {', '.join(named)})")
    return named[name]


def _check_tables(tables: Mapping[str, Any]) -> None:
    for table in tables:
        if table not in _TABLES:
            raise InvalidCatalog(f"{FILE.name}: table {table!r} is unknown (tables: {', '.join(_TABLES)})")
    for table in _TABLES:
        if table not in tables:
            raise InvalidCatalog(f"{FILE.name}: table {table!r} is missing (tables: {', '.join(_TABLES)})")


def _check_models(models: Mapping[str, Model]) -> None:
    """Raise ``InvalidCatalog`` for a successor that is not in the catalog, or a model without prices."""
    for id, model in models.items():
        if model.successor is not None:
            _referenced(f"models.{id}: successor", model.successor, models)
        for use in _REQUIRED_USES:
            if not model.has_price(use):
                raise InvalidCatalog(
                    f"{FILE.name}: models.{id}: priced_as: prices.toml has no {use!r} price of {model.product!r}. "
                    "Add the row there, or name a product that has one."
                )
