"""Look up models and families in catalog.toml."""

from __future__ import annotations

import json
from collections.abc import Mapping

from distillation.errors import InvalidRequest, excerpt
from distillation.models import catalog_file, ids
from distillation.models.model import Family, Model
from distillation.records import Quota

SERVED_NAMES = "LOCAL_MODEL_NAMES"
"""Environment variable with the names of the models that answer on the user's own server, as JSON by model id.

The local Bedrock endpoint sets it; no template does. The Lambda functions and the commands pass its value to
``set_served_names``.
"""
_served: dict[str, Model] = {}


def models() -> Mapping[str, Model]:
    """Return all models by id."""
    models = catalog_file.load().models
    return {**models, **_served} if _served else models


def set_served_names(names: str) -> None:
    """Set the display names of local models that the user's own server answers for.

    ``names`` is a JSON object of names by model id. Tuned models keep the name in the catalog, because the server does
    not train. Raises ``InvalidRequest`` for another text or an unknown id.
    """
    try:
        rows = {id: (catalog_file.load().models[id], str(name)) for id, name in dict(json.loads(names)).items()}
    except (KeyError, TypeError, ValueError):
        raise InvalidRequest(f"{SERVED_NAMES} is not a JSON object of names by model id: {excerpt(names)!r}") from None
    _served.clear()
    for id, (model, name) in rows.items():
        _served[id] = model.model_copy(update={"display_name": name, "own_name": model.display_name})


def served_name(id: str) -> str | None:
    """Return the name of the model on the user's own server that answers for this one; None if none does."""
    return _served[id].display_name if id in _served else None


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
