"""CloudFormation: the default encryption of a bucket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from ministack.services import s3
from ministack.services.cloudformation import provisioners

from local.aws.patches import Patch

_s3: Any = s3


def _apply_encryption(apply: Callable[..., None]) -> Callable[..., None]:
    def apply_configurations(name: str, props: dict[str, Any], old_props: dict[str, Any] | None = None) -> None:
        apply(name, props, old_props)
        if "BucketEncryption" in props:
            _s3._put_bucket_encryption(name, _encryption_xml(props["BucketEncryption"]))
        elif old_props and "BucketEncryption" in old_props:
            _s3._delete_bucket_encryption(name)

    return apply_configurations


def _encryption_xml(encryption: dict[str, Any]) -> bytes:
    """Return a template's ``BucketEncryption`` as the body of PutBucketEncryption."""
    root = ElementTree.Element("ServerSideEncryptionConfiguration", xmlns=_s3.S3_NS)
    for rule in encryption["ServerSideEncryptionConfiguration"]:
        element = ElementTree.SubElement(root, "Rule")
        default = ElementTree.SubElement(element, "ApplyServerSideEncryptionByDefault")
        for name, value in rule["ServerSideEncryptionByDefault"].items():
            ElementTree.SubElement(default, name).text = value
        ElementTree.SubElement(element, "BucketKeyEnabled").text = str(rule.get("BucketKeyEnabled", False)).lower()
    return ElementTree.tostring(root)


PATCHES = [
    Patch(
        "a bucket has the default encryption of its template",
        *(provisioners, "_s3_apply_configurations", ("name", "props", "old_props")),
        _apply_encryption,
    ),
]
