"""Distributed Map states: items, batches, tolerance and children."""

from __future__ import annotations

import json
import time
from typing import Any

from cli.progress import map_counts
from tests.local.aws.conftest import BUCKET, Account, distributed_map, machine, passing, workers


def jsonl_reader(key: str) -> dict[str, Any]:
    return {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSONL"},
        "Parameters": {"Bucket": BUCKET, "Key.$": key},
    }


def each(processor: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return machine({"Each": distributed_map(processor, **fields)})


def test_lines_of_a_file_come_in_batches(account: Account) -> None:
    account.put("items.jsonl", "".join(json.dumps({"n": n}) + "\n" for n in range(5)).encode())
    definition = each(
        passing(),
        ItemReader=jsonl_reader("$.key"),
        ItemSelector={"value.$": "$$.Map.Item.Value.n"},
        ItemBatcher={"MaxItemsPerBatch": 2, "BatchInput": {"run.$": "$.run"}},
        MaxConcurrencyPath="$.width",
        ToleratedFailurePercentage=0,
        ResultPath="$.result",
    )
    output = account.output(definition, {"key": "items.jsonl", "run": "r", "width": 1})
    batches = [[item["value"] for item in child["Items"]] for child in output["result"]]
    assert batches == [[0, 1], [2, 3], [4]]
    assert {child["BatchInput"]["run"] for child in output["result"]} == {"r"}


def test_line_separator_in_a_text_does_not_end_an_item(account: Account) -> None:
    items = [{"photo": "a\u2028b.jpg"}, {"photo": "a\x85b.jpg"}]
    account.put("separators.jsonl", "\n".join(json.dumps(item, ensure_ascii=False) for item in items).encode())
    output = account.output(each(passing(), ItemReader=jsonl_reader("$.key")), {"key": "separators.jsonl"})

    assert output == items


def test_batches_are_limited_in_bytes(account: Account) -> None:
    account.put("lines.jsonl", "\n".join(json.dumps({"i": i, "pad": "x" * 80}) for i in range(6)).encode())
    definition = each(
        passing(),
        ItemReader=jsonl_reader("$.key"),
        ItemBatcher={"MaxItemsPerBatch": 20, "MaxInputBytesPerBatch": 320},
    )
    output = account.output(definition, {"key": "lines.jsonl"})
    assert [len(batch["Items"]) for batch in output] == [3, 3]


def test_prefix_is_listed_and_the_result_can_be_discarded(account: Account) -> None:
    for name in ("a", "b"):
        account.put(f"listed/{name}", b"12")
    listing = {
        "Resource": "arn:aws:states:::s3:listObjectsV2",
        "Parameters": {"Bucket": BUCKET, "Prefix.$": "$.prefix"},
    }
    with_result = each(passing(), ItemReader=listing, ResultPath="$.objects")
    objects = account.output(with_result, {"prefix": "listed/"})["objects"]
    assert [(item["Key"], item["Size"]) for item in objects] == [("listed/a", 2), ("listed/b", 2)]
    discarded = each(passing(), ItemReader=listing, ResultPath=None)
    assert account.output(discarded, {"prefix": "listed/"}) == {"prefix": "listed/"}


def test_map_without_items_succeeds(account: Account) -> None:
    definition = each(passing(), ItemsPath="$.none", ItemBatcher={"MaxItemsPerBatch": 2})
    assert account.output(definition, {"none": []}) == []


def test_map_without_tolerance_fails_with_its_first_item_and_is_caught(account: Account) -> None:
    state = distributed_map(
        machine({"Ask": account.task({"fail": True})}),
        ItemsPath="$.items",
        ItemBatcher={"MaxItemsPerBatch": 1},
        MaxConcurrency=1,
        ToleratedFailurePercentage=0,
        Catch=[{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Caught"}],
    )
    output = account.output(machine({"Map": state, "Caught": {"Type": "Pass", "End": True}}), {"items": [1]})
    assert output["error"]["Error"] == "States.ExceedToleratedFailureThreshold"


def test_failed_batch_stops_the_batches_that_have_not_started(account: Account) -> None:
    state = distributed_map(
        machine({"Ask": account.task({"fail_if_odd.$": "$.Items[0]"})}),
        ItemsPath="$.numbers",
        ItemBatcher={"MaxItemsPerBatch": 1},
        MaxConcurrency=1,
        ToleratedFailurePercentage=0,
        Catch=[{"ErrorEquals": ["States.ExceedToleratedFailureThreshold"], "Next": "Caught"}],
    )
    ending = account.run(machine({"Map": state, "Caught": {"Type": "Pass", "End": True}}), {"numbers": list(range(10))})

    assert ending.output["Error"] == "States.ExceedToleratedFailureThreshold"
    states = account.client("stepfunctions")
    run = states.list_map_runs(executionArn=ending.arn)["mapRuns"][0]
    counts = states.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]
    assert (counts["failed"], counts["succeeded"], counts["aborted"]) == (1, 1, 8)


def test_tolerance_counts_items_and_not_batches(account: Account) -> None:
    definition = each(
        machine({"Ask": account.task({"fail_if_odd.$": "$.Items[0]"}, ResultPath=None)}),
        ItemsPath="$.numbers",
        ItemBatcher={"MaxItemsPerBatch": 6},
        ToleratedFailurePercentage=40,
    )
    # Two batches, of six items and of one. If only the small one fails, that is one item of seven.
    assert account.run(definition, {"numbers": [0] * 6 + [1]}).status == "SUCCEEDED"
    assert account.run(definition, {"numbers": [1] * 6 + [0]}).status == "FAILED"


def test_max_concurrency_path_limits_the_children(account: Account) -> None:
    ask = account.task({}, ResultSelector={"pid.$": "$.Payload.pid"}, OutputPath="$.pid")
    before = len(workers())
    definition = each(machine({"Ask": ask}), ItemsPath="$.items", MaxConcurrencyPath="$.width")
    account.output(definition, {"items": list(range(6)), "width": 1})
    assert len(workers()) <= max(before, 1)


def test_field_that_the_emulator_does_not_support_is_refused(account: Account) -> None:
    ending = account.run(each(passing(), ItemsPath="$.items", ResultWriter={"Resource": "x"}), {"items": [1]})
    assert ending.status == "FAILED"
    assert "ResultWriter" in (ending.cause or "")


def test_child_has_a_context_of_its_own(account: Account) -> None:
    processor = passing(Parameters={"id.$": "$$.Execution.Id"})
    ending = account.run(each(processor, ItemsPath="$.items", Label="Work"), {"items": [1]})
    assert ending.output[0]["id"] != ending.arn
    assert "/Work:" in ending.output[0]["id"]


def test_counts_change_while_the_map_runs(account: Account) -> None:
    processor = machine({"Work": account.task({"sleep": 0.3})})
    arn = account.start(each(processor, ItemsPath="$.items", MaxConcurrency=1), {"items": list(range(6))})
    states, counts = account.client("stepfunctions"), set()
    while states.describe_execution(executionArn=arn)["status"] == "RUNNING":
        counts |= {done for done, *_ in map_counts(states, arn).values()}
        time.sleep(0.05)
    assert len(counts) >= 2
