"""Look up models and families in catalog.toml."""

from __future__ import annotations

from collections.abc import Mapping

from distillation.errors import InvalidRequest, excerpt
from distillation.models import catalog_file, ids
from distillation.models.model import Family, Model
from distillation.records import Quota


def models() -> Mapping[str, Model]:
    """Return all models by id."""
    return catalog_file.load().models


def get_model(id: str) -> Model:
    """Return the model with this id, profile id or ARN. Raises ``InvalidRequest`` if the catalog does not have it."""
    if model := find_model(id):
        return model
    raise InvalidRequest(f"unknown model {excerpt(id)!r} (known: {', '.join(sorted(models()))})")


def find_model(id: str) -> Model | None:
    """Return the model with this id, profile id or ARN; None if the catalog does not have it.

    A profile without a row of its own has the row of its foundation model.
    """
    candidates = (id, ids.without_arn(id), ids.foundation_id(id))
    return next((models()[candidate] for candidate in candidates if candidate in models()), None)


def get_family(name: str) -> Family:
    """Return the family with this name. Raises ``KeyError`` if the catalog does not have it."""
    return catalog_file.load().families[name]


def dataset_families() -> Mapping[str, Family]:
    """Return the families by the model names that aws-samples' nova_ft_dataset_validator.py accepts."""
    return catalog_file.load().dataset_families


def default_quota(id: str) -> Quota:
    """Return the documented quota of the model with this id, profile id or ARN.

    Raises ``InvalidRequest`` if the catalog does not have the model.
    """
    model = get_model(id)
    return ((ids.profile_prefix(id) and model.profile_quota) or model.quota).as_quota()
