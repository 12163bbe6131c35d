"""Parse model ids, inference profile ids and their ARNs.

A cross-Region inference profile's id is a foundation model's id behind a prefix, such as ``us.`` or ``global.``.
"""

from __future__ import annotations

from distillation.errors import InvalidRequest
from distillation.models import catalog_file


def without_arn(id: str) -> str:
    """Return the id at the end of the ARN of a foundation model or system-defined profile; other ids as they are."""
    return id.rpartition("/")[2] if ":inference-profile/" in id or ":foundation-model/" in id else id


def profile_prefix(id: str) -> str | None:
    """Return the prefix of an inference profile's id or ARN, such as ``us``; None if ``id`` is not a profile."""
    prefix = without_arn(id).partition(".")[0]
    return prefix if prefix in catalog_file.load().profile_regions else None


def foundation_id(id: str) -> str:
    """Return the id of the foundation model behind a model id, a profile id or an ARN."""
    return without_arn(id).partition(".")[2] if profile_prefix(id) else without_arn(id)


def provider(id: str) -> str:
    """Return the provider of a model, such as ``amazon``."""
    return foundation_id(id).partition(".")[0]


def profile_regions(id: str) -> tuple[str, ...]:
    """Return the Regions of a profile; empty for a global profile and for an id that is not a profile."""
    return catalog_file.load().profile_regions.get(profile_prefix(id) or "", ())


def check_region(id: str, region: str) -> None:
    """Raise ``InvalidRequest`` if ``id`` is a profile that cannot be called from ``region``."""
    regions = profile_regions(id)
    if regions and region not in regions:
        raise InvalidRequest(
            f"profile {id!r} can be called from {', '.join(regions)}, not from {region!r}. Use the model's profile for "
            "that Region, with a prefix such as us. or global."
        )
