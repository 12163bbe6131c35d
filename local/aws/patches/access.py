"""Access: HTTP on the loopback interface counts as TLS, which the bucket policies require."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from ministack import app

from local.aws.patches import Patch


def _trust_loopback(pin: Callable[..., None]) -> Callable[..., None]:
    def pin_origin(source_ip: str, secure_transport: bool) -> None:
        pin(source_ip, secure_transport or ipaddress.ip_address(source_ip).is_loopback)

    return pin_origin


PATCHES = [
    Patch(
        "a request over loopback satisfies aws:SecureTransport",
        *(app, "pin_request_origin", ("source_ip", "secure_transport")),
        _trust_loopback,
    ),
]
