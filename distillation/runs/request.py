"""Resolve a request, from an S3 event or from console input, into a run, and claim the run for one execution."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field, JsonValue

from distillation import keys
from distillation.answers.formats import Format, Keywords, parse_format
from distillation.answers.reserved_words import find_reserved_words
from distillation.answers.vocabulary import VOCABULARY_FILE, parse_vocabulary, read_vocabulary
from distillation.errors import InvalidRequest, excerpt
from distillation.inference.labeler import make_labeler
from distillation.models import catalog, ids
from distillation.models.hyperparameters import record_count
from distillation.models.quotas import resolve_quotas
from distillation.records import (
    Concurrency,
    Prompt,
    PromptFile,
    Quota,
    Request,
    Run,
    StageLimits,
    parse,
    parse_json,
)
from distillation.runs.execution_input import ExecutionInput, StartedRequest
from distillation.runs.existing_model import check_fields_with_apply, check_fields_without_apply, check_tier
from distillation.storage import Bucket

_TERMS = "https://aws.amazon.com/legal/bedrock/third-party-models/"
MAXIMUM_REQUEST_BYTES = 256 * 1024
"""Largest size of distill.json in bytes, as of an execution's input."""
PROMPTS = Path(__file__).parents[2] / "samples" / "prompts"
ANSWER_FORMAT = "{answer_format}"
"""Place in a prompt where the answer format's instruction goes."""


class Defaults(StageLimits):
    """Allowed models, default settings and limits of a stage."""

    stage: str
    """Name of the stage."""
    teachers: list[str] = Field(min_length=1)
    """Model ids of the allowed teachers; the first is the default."""
    students: list[str] = Field(min_length=1)
    """Model ids of the allowed students; the first is the default."""
    profiles: dict[str, str] = Field(default_factory=dict)
    """ARNs of application inference profiles by model id of the teacher."""
    concurrency: Concurrency
    """Upper limits of concurrent batches."""
    images_per_batch: int = Field(default=100, ge=20, le=150)
    """Images per batch of LabelImages, PredictTestImages and PredictImages."""
    shared_models: list[str] = Field(default_factory=list)
    """Runs whose models every upload may apply or replace."""
    quotas: dict[str, Quota] = Field(default_factory=dict)
    """Quotas by model id, where the account's differ from the catalog's."""
    tags: dict[str, str] = Field(default_factory=dict)
    """Tags of the stage's jobs, models and deployments."""
    region: str
    """Region of the stage."""
    account: str
    """Account id, 12 digits."""


def resolve(
    start: ExecutionInput,
    execution: str,
    photos: Bucket | None,
    defaults: Defaults,
    source: str = "the execution's input",
) -> Run:
    """Return the run that an execution was started for. Raises ``InvalidRequest`` if the request is not valid.

    ``source`` names a ``StartedRequest`` in messages. ``photos`` is None, only with a ``StartedRequest``, if the
    collection's files do not exist yet or are not read.
    """
    if isinstance(start, StartedRequest):
        collection, identity = _collection(start.collection), execution
        request = parse(Request, start.fields, source)
    else:
        assert photos is not None, "the request of an upload is read from the Photos bucket"
        collection, identity, request = start.collection, start.identity, _read_request(start.key, photos)
    request = _within_limit(request, defaults.max_usd_per_run)
    if request.apply:
        check_fields_with_apply(request)
    else:
        check_fields_without_apply(request)
    teacher = _allowed(request.teacher, defaults.teachers, "teacher")
    student = _allowed(request.student, defaults.students, "student")
    _check_student(student, request, defaults.region)
    prompt_file = _prompt(request.prompt, "prompt")
    answers = _with_vocabulary(prompt_file.answers, collection, None if request.apply else photos)
    answer_format = _with_settings(parse_format(answers, "prompt.answers"), request)
    _check_vocabulary(answer_format, is_known=photos is not None and not request.apply)
    prompt = _with_instruction(prompt_file, answer_format, "prompt")
    _check_max_tokens(answer_format, request)
    _check_samples(request)
    _check_images(request)
    if not request.apply:
        check_tier(teacher, request)
    _check_terms(teacher, student, request)
    profile = defaults.profiles.get(teacher)
    alternatives = [model for model in defaults.students if model != student]
    return Run(
        name=keys.run_name(collection, identity),
        stage=defaults.stage,
        collection=collection,
        execution=execution,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        account=defaults.account,
        teacher=make_labeler(teacher, prompt, request.max_tokens, request.temperature, profile),
        ceiling=make_labeler(teacher, prompt, request.max_tokens, request.ceiling_temperature, profile),
        student=student,
        alternatives=alternatives,
        prompt=prompt,
        student_prompt=_student_prompt(request.student_prompt, prompt, answer_format),
        answers=answer_format.model_dump(mode="json"),
        image_side=catalog.get_model(student).family.image_side,
        quotas=resolve_quotas((teacher, student, *alternatives), defaults.quotas, request.quotas),
        concurrency=defaults.concurrency,
        images_per_batch=defaults.images_per_batch,
        tags=defaults.tags,
        request=request,
    )


def claim(run: Run, data: Bucket) -> str | None:
    """Claim the run for its execution; return None, or the ARN of another execution that claimed it before."""
    key = keys.request_key(run.name)
    if data.put_if_absent(key, run.model_dump_json(indent=1).encode()):
        return None
    owner = data.read_document(key, Run).execution
    return None if owner == run.execution else owner


def _read_request(key: str, photos: Bucket) -> Request:
    """Return the request in a ``distill.json``. Raises ``InvalidRequest``."""
    source = f"s3://{photos.name}/{excerpt(key)}"
    body = photos.read(key, MAXIMUM_REQUEST_BYTES + 1)
    if len(body) > MAXIMUM_REQUEST_BYTES:
        raise InvalidRequest(f"{source} is larger than the maximum of {MAXIMUM_REQUEST_BYTES:,} bytes of a request")
    try:
        fields = parse_json(body or b"{}", source)
    except InvalidRequest as error:
        raise InvalidRequest(f"{error}. An empty object {{}} is enough.") from None
    if not isinstance(fields, dict):
        raise InvalidRequest(f"{source} must contain a JSON object. An empty object {{}} is enough.")
    return parse(Request, fields, source)


def _within_limit(request: Request, max_usd_per_run: float) -> Request:
    """Return the request with a budget within the stage's limit, which also bounds the default.

    Raises ``InvalidRequest`` if the request sets a higher one.
    """
    if request.max_usd <= max_usd_per_run:
        return request
    if "max_usd" in request.model_fields_set:
        raise InvalidRequest(
            f"max_usd: {request.max_usd:,.2f} is above the stage's max_usd_per_run {max_usd_per_run:,.2f}. Lower "
            "max_usd, or raise max_usd_per_run of the stage in cdk.json and deploy again."
        )
    return request.model_copy(update={"max_usd": max_usd_per_run})


def _collection(value: JsonValue) -> str:
    if not isinstance(value, str) or not value.endswith("/") or value.startswith("/"):
        raise InvalidRequest(
            f"the execution's input: field 'collection' must be a prefix in the Photos bucket that ends "
            f'with "/", such as "holiday/" (got {excerpt(repr(value))})'
        )
    return value


def _allowed(requested: str | None, allowed: list[str], role: str) -> str:
    chosen = requested or allowed[0]
    if chosen not in allowed:
        raise InvalidRequest(
            f"{role} {excerpt(chosen)!r} is not allowed in this stage (allowed: {', '.join(allowed)}). "
            f"To allow it, add it to '{role}s' of the stage in cdk.json and deploy again."
        )
    catalog.get_model(chosen)
    return chosen


def _check_student(student: str, request: Request, region: str) -> None:
    model = catalog.get_model(student)
    if model.training_id is None:
        raise InvalidRequest(f"student {student!r} cannot be tuned with images on Bedrock")
    if region not in model.family.training_regions:
        raise InvalidRequest(
            f"student {student!r} is tuned in {', '.join(model.family.training_regions)} only, "
            f"not in {region}. Deploy there."
        )
    model.family.resolve_hyperparameters(request.hyperparameters)
    model.price("training")
    sizes = {"train_sizes": request.train_sizes or [], "grow_from": [request.grow_from]}
    for field, size in ((field, size) for field, values in sizes.items() for size in values):
        if not model.family.minimum_records <= record_count(request, size) <= model.family.maximum_records:
            raise InvalidRequest(
                f"{field}: {size} is outside {model.family.minimum_records} to {model.family.maximum_records}, the "
                f"number of records that {student!r} accepts"
            )


def _prompt(prompt: str | Prompt, field: str) -> PromptFile:
    return shipped_prompt(prompt, field) if isinstance(prompt, str) else PromptFile.model_validate(prompt.model_dump())


def _with_instruction(prompt: Prompt, answer_format: Format, field: str) -> Prompt:
    """Return a prompt with the format's instruction in place of ``{answer_format}``, or at the end of the user prompt.

    A vocabulary is also applied without an instruction, so it is never appended to a prompt. A prompt that already has
    the instruction stays as it is, so that the prompt of an earlier run can be used again.
    """
    instruction = answer_format.instruction()
    for part, text in {"system": prompt.system, "user": prompt.user, "answers": instruction}.items():
        if words := find_reserved_words(text):
            raise InvalidRequest(
                f"{field}.{part}: contains {', '.join(words)}, which Bedrock reserves and refuses in "
                "training data. Use other words."
            )
    if ANSWER_FORMAT in instruction:
        raise InvalidRequest(
            f"{field}.answers: a label, a description, an option or a term has {ANSWER_FORMAT}, which is the place "
            "of the answer format's instruction in a prompt. Use other words."
        )
    texts = {part: getattr(prompt, part).replace(ANSWER_FORMAT, instruction) for part in ("system", "user")}
    is_missing = instruction and not any(instruction in text for text in texts.values())
    if is_missing and not answer_format.instruction_is_optional:
        texts["user"] = f"{texts['user']}\n\n{instruction}"
    return parse(Prompt, texts, f"{field} with the answer format's instruction")


def _student_prompt(requested: str | Prompt | None, teacher_prompt: Prompt, answer_format: Format) -> Prompt:
    """Return the student's prompt, by default the teacher's; its answers have the format of the teacher's."""
    if requested is None:
        return teacher_prompt
    prompt = _prompt(requested, "student_prompt")
    if prompt.answers and (other := _format_name(prompt)) != answer_format.format:
        raise InvalidRequest(
            f"student_prompt: the answers to {excerpt(requested)!r} have the format {other!r}, but those to the "
            f"teacher's prompt have {answer_format.format!r}. Choose two prompts of the same format."
        )
    return _with_instruction(prompt, answer_format, "student_prompt")


def _format_name(prompt: PromptFile) -> str:
    return parse_format(_with_vocabulary(prompt.answers, "", None), "student_prompt.answers").format


def _with_vocabulary(
    answers: Mapping[str, JsonValue], collection: str, photos: Bucket | None
) -> Mapping[str, JsonValue]:
    """Return settings of keywords with the terms of the vocabulary that the prompt names, or else the collection's.

    ``photos`` is None if the collection is not read. The prompt comes first, so that a run is repeated with its terms.
    """
    if answers.get("format", "keywords") != "keywords":
        return answers
    named = answers.get("vocabulary")
    if isinstance(named, str):
        terms, file = _shipped_vocabulary(named), f"{named}.csv"
    else:
        terms, file = None if named or photos is None else read_vocabulary(collection, photos), VOCABULARY_FILE
    if terms is None:
        return {name: value for name, value in answers.items() if name != "vocabulary_file"}
    vocabulary: dict[str, JsonValue] = {preferred: [*synonyms] for preferred, synonyms in terms.items()}
    return {**answers, "vocabulary": vocabulary, "vocabulary_file": file}


def _shipped_vocabulary(name: str) -> dict[str, list[str]]:
    known = sorted(path.stem for path in PROMPTS.glob("*.csv"))
    if name not in known:
        raise InvalidRequest(
            f"prompt.answers.vocabulary: there is no file {excerpt(name)!r} with the suffix .csv in samples/prompts "
            f"(there: {', '.join(known) or 'none'}). Give the terms themselves, as in "
            f'{{"cat": ["kitty", "tomcat"]}}, or upload {VOCABULARY_FILE} to the collection.'
        )
    file = PROMPTS / f"{name}.csv"
    return parse_vocabulary(file.read_bytes(), f"samples/prompts/{file.name}")


def _check_vocabulary(answer_format: Format, *, is_known: bool) -> None:
    """Raise ``InvalidRequest`` for a closed vocabulary without terms. ``is_known`` is whether they were searched."""
    if not is_known or not isinstance(answer_format, Keywords):
        return
    if answer_format.closed_vocabulary and not answer_format.vocabulary:
        raise InvalidRequest(
            f"closed_vocabulary: the collection has no {VOCABULARY_FILE}, and the prompt names no vocabulary. "
            f"Upload {VOCABULARY_FILE} before distill.json, or leave closed_vocabulary out."
        )


def shipped_prompt(name: str, field: str) -> PromptFile:
    """Return a prompt of samples/prompts by its name. Raises ``InvalidRequest`` that names ``field``."""
    known = sorted(path.stem for path in PROMPTS.glob("*.toml"))
    if name not in known:
        raise InvalidRequest(
            f"{field}: there is no prompt file {excerpt(name)!r} (shipped: {', '.join(known)}). "
            "Choose one, add a file to samples/prompts and deploy again, or give the contents of your file: "
            '{"system": "...", "user": "...", "answers": {"format": "..."}}.'
        )
    return read_prompt_file(PROMPTS / f"{name}.toml", f"samples/prompts/{name}.toml")


def read_prompt_file(path: Path, source: str) -> PromptFile:
    """Return the prompt in a TOML file. ``source`` names it in messages. Raises ``InvalidRequest``."""
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"{source} is not a prompt file in TOML: {excerpt(str(error))}") from None
    texts = {part: fields[part].strip() for part in ("system", "user") if isinstance(fields.get(part), str)}
    return parse(PromptFile, fields | texts, source)


def _with_settings(answer_format: Format, request: Request) -> Format:
    """Return the format with the settings of keywords that the request has."""
    fields = ("keywords_min", "keywords_max", "closed_vocabulary")
    settings = {field: value for field in fields if (value := getattr(request, field)) is not None}
    if not isinstance(answer_format, Keywords):
        if not settings:
            return answer_format
        raise InvalidRequest(
            f"{', '.join(settings)}: the answers to this prompt have the format {answer_format.format!r}, not "
            f"'keywords'. Leave out {' and '.join(settings)}."
        )
    limited = answer_format.model_copy(update=settings)
    if limited.keywords_min > limited.keywords_max:
        raise InvalidRequest(
            f"keywords_min: {limited.keywords_min} is above keywords_max {limited.keywords_max}. Give both, or change "
            "one."
        )
    return limited


def _check_images(request: Request) -> None:
    """Raise ``InvalidRequest`` if fields that choose images or training sizes contradict each other."""
    if request.sample is not None and request.sample < request.min_images:
        raise InvalidRequest(
            f"sample: {request.sample} images are fewer than min_images {request.min_images}. Raise sample, or lower "
            "min_images (at least 16)."
        )
    if request.grow and request.train_sizes:
        raise InvalidRequest(
            f"grow: train_sizes {excerpt(request.train_sizes)} are trained in one round, so the run cannot grow. Leave "
            "one of the two out; grow_from sets the first size of a run that grows."
        )


def _check_max_tokens(answer_format: Format, request: Request) -> None:
    """Raise ``InvalidRequest`` if even the shortest answer would be cut off. A list of keywords may have any length."""
    shortest, expected, _ = answer_format.answer_tokens()
    if shortest > request.max_tokens and not isinstance(answer_format, Keywords):
        raise InvalidRequest(
            f"max_tokens: {request.max_tokens} would cut off every answer: {answer_format.noun} takes at least about "
            f"{shortest} tokens. Raise max_tokens to {min(5000, 2 * expected)} or more."
        )


def _check_samples(request: Request) -> None:
    if request.samples_per_image > 1 and request.temperature == 0:
        raise InvalidRequest(
            f"samples_per_image: {request.samples_per_image} answers at temperature 0 would be identical, and each is "
            "billed. Raise temperature (0.5 is usual), or use 1 sample."
        )


def _check_terms(teacher: str, student: str, request: Request) -> None:
    teacher_provider, student_provider = ids.provider(teacher), ids.provider(student)
    if teacher_provider != student_provider and not request.accept_teacher_terms:
        raise InvalidRequest(
            f"accept_teacher_terms: teacher {teacher!r} is by {teacher_provider!r}, student {student!r} by "
            f"{student_provider!r}. "
            "A provider may forbid training other models on its answers. Read its terms "
            f"({_TERMS}), and if they allow it, set accept_teacher_terms to true."
        )
