"""The account that the AWS emulator plays."""

from __future__ import annotations

ACCOUNT = "000000000000"
REGION = "us-east-1"
ADMIN_KEY = "test"
"""Access key that ministack treats as the account's administrator."""
