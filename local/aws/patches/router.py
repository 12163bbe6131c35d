"""Router: a request to a service that ministack lacks is recognised without reading the models of all services."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import botocore.session
from ministack.core import router

from local.aws.patches import Patch


def _compare_names(_: Callable[[str], bool]) -> Callable[[str], bool]:
    def is_aws_service_name(scope_name: str) -> bool:
        return scope_name.replace("-", "") in _service_names()

    return is_aws_service_name


@cache
def _service_names() -> frozenset[str]:
    """Return the names of all services without hyphens, such as ``servicequotas``."""
    services = botocore.session.get_session().get_available_services()
    return frozenset(name.replace("-", "") for name in services)


PATCHES = [
    # ministack reads the signing names of 400 services from their models, which takes seconds.
    Patch(
        "a service is recognised immediately",
        *(router, "_is_aws_service_name", ("scope_name",)),
        _compare_names,
    ),
]
