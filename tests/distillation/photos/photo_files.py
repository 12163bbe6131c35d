"""Photos of tests, and a Photos bucket that refuses some of them."""

from __future__ import annotations

import io
from typing import Any

from botocore.exceptions import ClientError
from PIL import Image

from tests.support.fakes import MemoryS3


def jpeg(image: Image.Image) -> bytes:
    """Return an image as a JPEG file."""
    output = io.BytesIO()
    image.save(output, "JPEG")
    return output.getvalue()


PHOTO = jpeg(Image.linear_gradient("L").resize((1200, 800)).convert("RGB"))
"""A photo."""
_STATUS = {"AccessDenied": 403, "InvalidObjectState": 403}
"""HTTP status by error code; 400 for the others. Source: "Error responses", Amazon S3 API reference."""


class DenyingS3(MemoryS3):
    """S3 client in memory that refuses to read some objects, with an error code by key."""

    def __init__(self, codes: dict[str, str]) -> None:
        super().__init__()
        self._codes = codes

    def get_object(self, *, Key: str, **options: Any) -> dict[str, Any]:  # noqa: N803 - boto3's name
        if code := self._codes.get(Key):
            error = {"Error": {"Code": code, "Message": "refused"}}
            raise ClientError(error | {"ResponseMetadata": {"HTTPStatusCode": _STATUS.get(code, 400)}}, "GetObject")  # type: ignore[arg-type]
        return super().get_object(Key=Key, **options)
