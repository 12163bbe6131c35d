"""Service tier of a teacher's calls."""

from __future__ import annotations

from distillation.models import catalog
from distillation.records import RequestedTier, ServiceTier


def first_tier(model_id: str, requested: RequestedTier) -> ServiceTier:
    """Return the tier that a model is asked on first: with ``auto``, flex if the model has a price for it."""
    if requested != "auto":
        return requested
    return cheapest_tier(model_id)


def cheapest_tier(model_id: str) -> ServiceTier:
    """Return flex if the model has a price for it, else the standard tier."""
    return "flex" if catalog.get_model(model_id).has_price("input-flex") else "default"
