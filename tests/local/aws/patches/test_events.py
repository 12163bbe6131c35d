from __future__ import annotations

from tests.local.aws.conftest import BUCKET, Account, eventually


def test_event_of_a_new_object_has_its_version_and_reaches_machine_and_function(account: Account) -> None:
    s3, bucket = account.client("s3"), "versioned"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [bucket]}, "object": {"key": [{"suffix": "/distill.json"}]}},
    }
    events = account.record_events("created", pattern)
    account.client("events").put_targets(Rule="created", Targets=[{"Id": "function", "Arn": account.function}])
    s3.put_object(Bucket=bucket, Key="other.json", Body=b"{}")
    version = s3.put_object(Bucket=bucket, Key="set/distill.json", Body=b"{}")["VersionId"]
    received = eventually(events)
    assert [event["detail"]["object"]["key"] for event in received] == ["set/distill.json"]
    assert received[0]["detail"]["object"]["version-id"] == version
    eventually(lambda: s3.list_objects_v2(Bucket=BUCKET, Prefix="event").get("Contents"))
