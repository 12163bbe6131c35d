"""The rules that a dataset is held to: how grave each is, what to do about it, and where it is written.

An *error* is what Bedrock refuses, or what AWS's own checks do. A *warning* harms learning only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Severity = Literal["error", "warning"]
File = Literal["train", "validation"]

_GUIDE = 'Amazon Nova user guide, "Preparing data for fine-tuning understanding models"'
_TROUBLE = 'Amazon Bedrock user guide, "Fine-tuning troubleshooting"'
_NOVA_2 = 'Amazon Bedrock user guide, "Fine-tune Amazon Nova models with supervised fine-tuning"'
_SCRIPT = "aws-samples, nova_ft_dataset_validator.py"
_SDK = "aws/nova-forge-sdk"
_CONVERSE = "Amazon Bedrock API reference, Converse"
_LEARNING = "harms learning"


@dataclass(frozen=True)
class Rule:
    """One rule; ``source`` says who refuses what breaks it."""

    severity: Severity
    remedy: str
    source: str


@dataclass(frozen=True)
class Problem:
    """A rule broken at a place: a line (from 1; 0 for the whole dataset) of a file, and a field of the record."""

    rule: str
    line: int
    field: str
    fact: str
    """What is so, with what was found."""
    file: File = "train"

    @property
    def severity(self) -> Severity:
        """Whether Bedrock refuses this or learning suffers from it."""
        return RULES[self.rule].severity

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return RULES[self.rule].remedy

    def __str__(self) -> str:
        place = f"line {self.line}" if self.line else "dataset"
        file = "" if self.file == "train" else f"{self.file} "
        return f"{file}{place}, {self.field}: {self.fact}; {self.remedy}"


def _errors(source: str, **remedies: str) -> dict[str, Rule]:
    return {name: Rule("error", remedy, source) for name, remedy in remedies.items()}


def _warnings(source: str, **remedies: str) -> dict[str, Rule]:
    return {name: Rule("warning", remedy, source) for name, remedy in remedies.items()}


RULES: Mapping[str, Rule] = MappingProxyType(
    _errors(
        _TROUBLE,
        blank_line="remove the line",
        file_name="name it with letters, digits and / _ . - only, ending in .jsonl",
    )
    | _errors(
        _SCRIPT,
        encoding="save the file as UTF-8 without a byte order mark",
        json_syntax="write one JSON object on each line",
        record_fields="keep schemaVersion, system, toolConfig and messages only",
        system="write a list of {text}, or leave it out",
        messages="write a list of a user and an assistant message at least",
        message_fields="write {role, content}",
        content_list="write a list of at least one block",
        content_block="write one of {text}, {image}, {video}, {document}, {reasoningContent}, {toolUse}, {toolResult}",
        empty_text="write the text, or remove the record",
        no_content="add text beside the reasoning",
        text_type="write text in quotation marks",
        assistant_content="move it to the user's message",
        media_unsupported="leave it out, or train a model that takes it",
        media_shape="write {format, source: {s3Location: {uri, bucketOwner}}}",
        media_format="convert the file, or correct the format",
        media_mixed="split the record",
        uri="name the object as s3://BUCKET/KEY",
        uri_characters="rename the object with ASCII letters, digits and / _ . - only",
        reasoning="write {reasoningText: {text}} in an assistant message, for lite-2.0 only",
        tool_config="write {tools: [{toolSpec: {name, description, inputSchema: {json: {type}}}}]}, each name once",
        tool_use="write {toolUseId, name, input} in an assistant message: a tool of toolConfig, an id of its own",
        tool_result="write {toolUseId, content: [{text} or {json}]} in a user message after its toolUse, once",
        validation_file="leave the validation file out",
        too_few_records="add records",
        too_many_records="leave records out",
    )
    | _errors(
        _GUIDE,
        role_order="let user and assistant take turns, user first, in lower case",
        last_role="end with the assistant's answer",
        reserved_word="say it in other words",
        media_count="split the record",
        bucket="copy the objects into the bucket that holds the dataset",
        record_tokens="shorten the record",
        modality="keep one kind per dataset: text only, text with images, or text with videos",
        image_missing="upload it, or correct the uri",
        image_bytes="save it smaller",
    )
    | _errors(
        _SDK,
        schema_version='write "bedrock-conversation-2024"',
        bucket_owner="write the account number as 12 digits in quotation marks",
        extension="let the format and the key's extension agree",
        image_format="let the declared format and the file agree",
        image_small="leave it out",
    )
    | _errors(_CONVERSE, image_pixels="save it smaller", image_unreadable="save it anew")
    | _errors(_NOVA_2, tools_unsupported="leave toolConfig, toolUse and toolResult out")
    | _warnings(
        _SDK,
        schema_version_missing='write "bedrock-conversation-2024"; Bedrock does not ask for it, AWS\'s SDK does',
        bucket_owner_missing="write your account number; Bedrock does not ask for it, AWS's SDK does",
    )
    | _warnings(
        _LEARNING,
        blank_text="write the question, or leave the text out",
        blank_label="write the answer, or remove the record",
        refused_label="remove the record, or ask the teacher again",
        cut_off_label="ask the teacher again with more tokens, or remove the record",
        prose_label="answer as the other records do, or remove the record",
        duplicate_record="keep one of them",
        contradicting_labels="keep one answer to each question",
        system_missing="give all records the system prompt that will be used, or none",
    )
)
