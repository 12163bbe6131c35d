"""A stage with a KMS key for its buckets and with tags, under roles that are enforced."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from local.aws.deploy import deploy
from local.synthesis import synthesise
from tests.end_to_end.conftest import PHOTOS, PipelineDriver

Start = Callable[..., AbstractContextManager[PipelineDriver]]
TAGS = {"cost-center": "42", "Owner": "photo team"}


@contextmanager
def encrypted_stage(running: PipelineDriver, assembly: Path, tmp_path: Path) -> Iterator[str]:
    """Deploy the stage with a new KMS key and with tags; yield the key's ARN and deploy the stage as it was."""
    aws = running.pipeline.aws
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    synthesise("local", tmp_path, bucket_kms_key_arn=key, tags=TAGS)[0].synth()
    try:
        deploy(aws, tmp_path)
        yield key
    finally:
        deploy(aws, assembly)


@contextmanager
def without_key_action(running: PipelineDriver, role: str, action: str) -> Iterator[None]:
    """Remove a KMS action from the policy of the role whose name contains ``role``."""
    iam = running.pipeline.aws.client("iam")
    (name,) = [r["RoleName"] for r in iam.list_roles()["Roles"] if role in r["RoleName"]]
    whole = iam.get_role_policy(RoleName=name, PolicyName="Step")["PolicyDocument"]
    text = json.dumps(whole)
    assert f'"{action}"' in text
    lacking = text.replace(f'"{action}"', '"kms:Verify"')
    iam.put_role_policy(RoleName=name, PolicyName="Step", PolicyDocument=lacking)
    try:
        yield
    finally:
        iam.put_role_policy(RoleName=name, PolicyName="Step", PolicyDocument=json.dumps(whole))


def test_run_with_an_encrypted_bucket_and_tags(pipeline: Start, assembly: Path, tmp_path: Path) -> None:
    with pipeline() as running, encrypted_stage(running, assembly, tmp_path) as key:
        running.upload(PHOTOS)
        ended = running.run(train_sizes=[8], keep="all")

        assert ended.status == "SUCCEEDED", ended.cause
        s3, data = running.pipeline.aws.client("s3"), running.pipeline.data.name
        objects = [s3.head_object(Bucket=data, Key=key) for key in running.keys("")]
        assert {(o["ServerSideEncryption"], o["SSEKMSKeyId"]) for o in objects} == {("aws:kms", key)}
        service = running.pipeline.bedrock.service
        tagged = [*service.jobs, *service.custom_models, *service.deployments]
        assert len(tagged) == 3
        for arn in tagged:
            assert {tag["key"]: tag["value"] for tag in service.tags[arn]}.items() >= TAGS.items()

        for role, action, error in (
            ("LabelRole", "kms:Decrypt", "AccessDenied"),
            ("SplitRole", "kms:GenerateDataKey", "AccessDenied"),
        ):
            with without_key_action(running, role, action):
                ended = running.run(until="LabelImages")
            assert (ended.status, ended.error) == ("FAILED", error), ended.cause
            assert action in (ended.cause or "")
            assert running.denied_actions() == {(role, action)}
