"""All rules for datasets, with severity, remedy and source.

An *error* is rejected by Bedrock or by AWS's own validators. A *warning* only reduces the quality of the training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from distillation.dataset.other_formats import FOREIGN_RULES

Severity = Literal["error", "warning"]
File = Literal["train", "validation"]

_GUIDE = 'Amazon Nova user guide, "Preparing data for fine-tuning understanding models"'
_TROUBLESHOOTING = 'Amazon Bedrock user guide, "Fine-tuning troubleshooting"'
_NOVA_2 = 'Amazon Bedrock user guide, "Fine-tune Amazon Nova models with supervised fine-tuning"'
_SCRIPT = "aws-samples, nova_ft_dataset_validator.py"
_SDK = "aws/nova-forge-sdk"
_CONVERSE = "Amazon Bedrock API reference, Converse"
_QUALITY = "training quality"


@dataclass(frozen=True)
class Rule:
    """A rule; ``source`` is the document or program that states it."""

    severity: Severity
    remedy: str
    source: str


@dataclass(frozen=True)
class Problem:
    """A broken rule and its position."""

    rule: str
    """Key in ``RULES``."""
    line: int
    """Line number, from 1; 0 for the whole dataset."""
    field: str
    """Dotted path in the record."""
    description: str
    """Description of the problem with the value."""
    file: File = "train"

    @property
    def severity(self) -> Severity:
        """Severity of the rule."""
        return RULES[self.rule].severity

    @property
    def remedy(self) -> str:
        """Remedy of the rule."""
        return RULES[self.rule].remedy

    def __str__(self) -> str:
        place = f"line {self.line}" if self.line else "dataset"
        file = "" if self.file == "train" else f"{self.file} "
        return f"{file}{place}, {self.field}: {self.description}. {sentence(self.remedy)}"


def sentence(remedy: str) -> str:
    """Return a remedy with a capital letter and a full stop."""
    return f"{remedy[0].upper()}{remedy[1:]}."


def _errors(source: str, **remedies: str) -> dict[str, Rule]:
    return {name: Rule("error", remedy, source) for name, remedy in remedies.items()}


def _warnings(source: str, **remedies: str) -> dict[str, Rule]:
    return {name: Rule("warning", remedy, source) for name, remedy in remedies.items()}


RULES: Mapping[str, Rule] = MappingProxyType(
    _errors(
        _TROUBLESHOOTING,
        blank_line="remove the line",
        file_name="use only letters, digits and / _ . - and end the name with .jsonl",
    )
    | _errors(
        _SCRIPT,
        encoding="save the file as UTF-8 without a byte order mark",
        json_syntax="write one JSON object per line",
        file_form="convert the file",
        line_length="write one record per line, and its media in S3",
        system="write a list of {text}, or omit the field",
        messages="write a list of at least one user message and one assistant message",
        content_list="write a list of at least one block",
        empty_text="write the text, or remove the record",
        no_content="add text after the reasoning",
        text_type="write the text as a JSON string",
        assistant_content="move it to the user's message",
        media_shape="write {format, source: {s3Location: {uri, bucketOwner}}}",
        media_format="convert the file, or correct the format",
        media_mixed="split the record",
        uri="write the URI as s3://BUCKET/KEY",
        uri_characters="rename the object with only ASCII letters, digits and / _ . -",
        reasoning="write {reasoningText: {text}} in an assistant message, and only for lite-2.0",
        tool_config="write {tools: [{toolSpec: {name, description, inputSchema: {json: {type}}}}]} with unique names",
        tool_use="write {toolUseId, name, input} in an assistant message, with a tool of toolConfig and a unique id",
        tool_result="write one {toolUseId, content: [{text} or {json}]} per toolUse, in a later user message",
        validation_file="remove the validation file",
        too_few_records="add records",
        too_many_records="remove records",
    )
    | _errors(
        _GUIDE,
        role_order="alternate user and assistant messages, user first, with roles in lower case",
        last_role="end the record with an assistant message",
        reserved_word="rephrase the text",
        media_count="split the record",
        bucket="copy the objects to the bucket of the dataset",
        record_tokens="shorten the record",
        modality="use one kind per dataset: text only, text with images, or text with videos",
        image_missing="upload the image, or correct the URI",
        image_bytes="save the image with fewer bytes",
    )
    | _errors(
        _SDK,
        record_fields="keep only schemaVersion, system, toolConfig and messages",
        message_fields="write {role, content}",
        media_unsupported="remove it, or train a model that supports it",
        schema_version='write "bedrock-conversation-2024"',
        bucket_owner="write the account number as a string of 12 digits",
        image_format="convert the file, or correct the format",
        image_small="remove the record",
    )
    | _errors(
        _CONVERSE,
        content_block="write one of {text}, {image}, {video}, {document}, {reasoningContent}, {toolUse}, {toolResult}",
        image_pixels="resize the image",
        image_unreadable="save the image again",
    )
    | _errors(_SCRIPT, **FOREIGN_RULES)
    | _errors(_NOVA_2, tools_unsupported="remove toolConfig, toolUse and toolResult")
    | _warnings(
        _SDK,
        schema_version_missing='write "bedrock-conversation-2024", which AWS\'s SDK requires and Bedrock does not',
        bucket_owner_missing="write your account number, which AWS's SDK requires and Bedrock does not",
    )
    | _warnings(
        _SCRIPT,
        reserved_word_case="rephrase the text: this script refuses the reserved words in any case, AWS's SDK does not",
    )
    | _warnings(
        _CONVERSE,
        unknown_field="remove the field: AWS's validators ignore it, and the API has no such field here",
        media_format_case="write the format in lower case, as the API has it",
        null_field="omit the field: AWS's validators accept null, and the API has no null",
    )
    | _warnings(
        _QUALITY,
        extension="check the format: AWS's SDK compares it with the contents, as --images does",
        blank_text="write the text, or remove the block",
        blank_label="write the answer, or remove the record",
        refused_label="remove the record, or ask the teacher again",
        cut_off_label="ask the teacher again with more tokens, or remove the record",
        prose_label="write the answer as a list, or remove the record",
        object_label="write the answer as a JSON object, or remove the record",
        duplicate_record="remove one of the two records",
        contradicting_labels="keep one answer per question",
        system_missing="use the same system prompt in all records, or in none",
    )
)
