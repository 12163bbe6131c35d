"""Fake credentials everywhere but in ``make verify-aws``, and the app synthesised once."""

from __future__ import annotations

import os

from hypothesis import settings

if "VERIFY_AWS" not in os.environ:
    os.environ |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        os.environ.pop(name, None)
os.environ |= {
    "AWS_DEFAULT_REGION": "us-east-1",
    "CODE_VERSION": "0123456789ab sha256:ab",
    "POWERTOOLS_METRICS_NAMESPACE": "VisionDistillation",
    "POWERTOOLS_SERVICE_NAME": "test",
    "STAGE": "test",
}

# The same examples on every machine, and none judged by its time.
settings.register_profile("suite", database=None, deadline=None, derandomize=True, max_examples=50)
settings.load_profile("suite")
