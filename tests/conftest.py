"""Fake credentials everywhere, and the app synthesised once."""

from __future__ import annotations

import os

os.environ |= {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "POWERTOOLS_METRICS_NAMESPACE": "VisionDistillation",
    "POWERTOOLS_SERVICE_NAME": "test",
    "STAGE": "test",
}
for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
    os.environ.pop(name, None)
