"""The quotas that hold for a run: as documented, as its stage says, as its request says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from distillation.errors import InvalidRequest
from distillation.models import catalog
from distillation.records import Quota


def resolve_quotas(models: Iterable[str], stage: Mapping[str, Quota], asked: Mapping[str, Quota]) -> dict[str, Quota]:
    """Return what may be asked of each model.

    Raises ``InvalidRequest`` for a request that says more than its stage, or speaks of another model.
    """
    found = {model: catalog.default_quota(model).merged(stage.get(model)) for model in models}
    for model, quota in asked.items():
        if model not in found:
            raise InvalidRequest(f"quotas: this run asks {', '.join(found)}, not {model!r}")
        for name, value in quota.model_dump(exclude_none=True).items():
            if value > (most := getattr(found[model], name)):
                raise InvalidRequest(
                    f"quotas: {name} of {model!r} is {most:g} in this stage (got {value:g}); if the account has more, "
                    f"change 'quotas' of the stage in cdk.json and deploy again"
                )
    return {model: quota.merged(asked.get(model)) for model, quota in found.items()}
