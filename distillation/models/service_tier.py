"""Service tiers of a teacher's calls."""

from __future__ import annotations

from distillation.models import catalog
from distillation.records import RequestedTier, ServiceTier


def first_tier(model_id: str, requested: RequestedTier) -> ServiceTier:
    """Return the tier that a model is asked on first: with ``auto``, flex if the model has a price for it."""
    if requested != "auto":
        return requested
    return cheapest_tier(model_id)


def available_tier(model_id: str, requested: RequestedTier) -> RequestedTier:
    """Return ``requested``, or the standard tier for ``auto`` if the model has no price for flex."""
    return "default" if first_tier(model_id, requested) == "default" else requested


def dearest_tier(requested: RequestedTier) -> ServiceTier:
    """Return the most expensive tier that may answer: with ``auto`` the standard tier."""
    return "flex" if requested == "flex" else "default"


def cheapest_tier(model_id: str) -> ServiceTier:
    """Return flex if the model has a price for it, else the standard tier."""
    return "flex" if catalog.get_model(model_id).has_price("input-flex") else "default"
