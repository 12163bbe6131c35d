"""Quotas that a run may use: documented defaults, the stage's quotas, the request's quotas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from distillation.errors import InvalidRequest, excerpt
from distillation.models import catalog
from distillation.records import Quota


def resolve_quotas(
    models: Iterable[str], stage_quotas: Mapping[str, Quota], request_quotas: Mapping[str, Quota]
) -> dict[str, Quota]:
    """Return the quota of each model, by model id.

    A stage's quota replaces the default; a request's quota can only lower it. Raises ``InvalidRequest`` for a higher
    quota or a model that the run does not call.
    """
    limits = {model: catalog.default_quota(model).merged(stage_quotas.get(model)) for model in models}
    for model, quota in request_quotas.items():
        if model not in limits:
            raise InvalidRequest(f"quotas: this run calls {', '.join(limits)}, not {excerpt(model)!r}")
        for field, value in quota.model_dump(exclude_none=True).items():
            limit = getattr(limits[model], field)
            if value > limit:
                raise InvalidRequest(
                    f"quotas: {field} of {model!r} is {limit:g} in this stage (got {value:g}). If the account has "
                    "more, change 'quotas' of the stage in cdk.json and deploy again"
                )
    return {model: limit.merged(request_quotas.get(model)) for model, limit in limits.items()}
