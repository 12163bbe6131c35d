"""Everything that differs by model, in two tables: families of rules and the models that follow them.

Nothing else but prices.toml names a model. Rules and limits are from the Amazon Nova user guide and the
Amazon Bedrock user guide as read in November 2026.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from distillation.errors import InvalidRequest
from distillation.models import prices
from distillation.models.prices import Price
from distillation.records import Quota

WARMUP = "learningRateWarmupSteps"


@dataclass(frozen=True)
class Range:
    """Allowed values of one hyperparameter, and the one used when the request is silent."""

    minimum: float
    maximum: float
    default: float
    integer: bool

    def text(self, name: str, value: float) -> str:
        """Return a value as Bedrock wants it; raises ``InvalidRequest`` when it is not allowed."""
        if not self.minimum <= value <= self.maximum or (self.integer and value != int(value)):
            kind = "a whole number" if self.integer else "a number"
            raise InvalidRequest(
                f"hyperparameters: {name} must be {kind} from {self.minimum:g} to {self.maximum:g} (got {value:g})"
            )
        return str(int(value)) if self.integer else f"{value:.10f}".rstrip("0")


@dataclass(frozen=True)
class Family:
    """Models that share dataset rules, image rules and hyperparameters."""

    name: str
    image_side: int
    """Longest side, in pixels, above which an image only costs more; docs/costs.md shows by how much."""
    image_tokens: Callable[[int, int], int]
    """Width and height in pixels to input tokens."""
    image_tokens_spread: tuple[float, float]
    """Between which multiples of that rule the guide's own examples lie; (1, 1) where it is exact."""
    formats: Mapping[str, tuple[str, ...]]
    """Of image, video and document: the formats of training data, none where the family takes no such content."""
    reasoning: bool
    """Whether training data may hold reasoning."""
    tools: bool
    """Whether training data may hold the use of tools."""
    training_regions: tuple[str, ...]
    serving_regions: tuple[str, ...]
    """Where tuned models are served on demand."""
    minimum_records: int
    maximum_records: int
    validation_file: bool
    hyperparameters: Mapping[str, Range]
    images_by: Literal["s3Location", "bytes"] = "s3Location"
    """How Converse is given an image: by its place in S3, or in the request."""
    maximum_inline_bytes: int = 3_932_160
    """Of an image in a request: the 3.75 MB of Converse's reference."""
    limits: Mapping[str, int] = field(default_factory=lambda: {"image": 10, "video": 1, "document": 1})
    """How many of each a record may hold."""
    maximum_image_bytes: int = 10 * 1024 * 1024
    minimum_image_side: int = 25
    maximum_image_side: int = 8000
    record_tokens: int = 32_000

    def resolve_hyperparameters(self, asked: Mapping[str, float]) -> dict[str, str]:
        """Return a job's hyperparameters as Bedrock wants them, as text; raises ``InvalidRequest``."""
        for name in asked:
            if name not in self.hyperparameters:
                raise InvalidRequest(f"hyperparameters: unknown {name!r}; known: {', '.join(self.hyperparameters)}")
        return {
            name: allowed.text(name, asked.get(name, allowed.default)) for name, allowed in self.hyperparameters.items()
        }


@dataclass(frozen=True)
class DefaultQuota:
    """What AWS lets a new account ask of one model in a minute, and where that is said.

    Real quotas of new accounts are often lower: stage and request can say so.
    """

    requests_per_minute: int
    tokens_per_minute: int
    source: str
    date: str
    confirmed: bool = True

    def as_quota(self) -> Quota:
        """Return the figures alone."""
        return Quota(requests_per_minute=self.requests_per_minute, tokens_per_minute=self.tokens_per_minute)


UNKNOWN_QUOTA = DefaultQuota(50, 200_000, "none found: a cautious guess", "2026-11-24", confirmed=False)


@dataclass(frozen=True)
class Model:
    """One model: how to call it, how to tune it, what it costs."""

    id: str
    """Id for inference."""
    family: Family
    training_id: str | None = None
    """Id for customization; None where Bedrock does not tune the model with images."""
    display_name: str = ""
    """Name for people."""
    priced_as: str = ""
    """Id that prices.toml has it under; its own where empty."""
    successor: str | None = None
    """Student to choose when this one is LEGACY and takes no new jobs."""
    records_per_warmup_step: int | None = None
    """The Nova guide's advice: so many records in the dataset for each step of learning-rate warm-up."""
    records_quota: str | None = None
    """Code of the Service Quota on training and validation records of a job."""
    quota: DefaultQuota = UNKNOWN_QUOTA
    """Of on-demand calls in us-east-1; a tuned model's deployments have as much, of their own."""
    profile_quota: DefaultQuota | None = None
    """Of calls through a cross-Region profile, where that is another."""

    def price(self, use: str) -> Price:
        """Return what a use costs: input, output, training or storage; raises ``InvalidRequest`` where no row says."""
        return prices.price(self.priced_as or self.id, use)

    def has_price(self, use: str) -> bool:
        """Tell whether a use has a price."""
        return prices.has_price(self.priced_as or self.id, use)

    def hyperparameters(self, asked: Mapping[str, float], records: int) -> dict[str, str]:
        """Return the hyperparameters of a job on so many records; warm-up follows AWS's advice unless asked for.

        Raises ``InvalidRequest``.
        """
        warmup = self.family.hyperparameters.get(WARMUP)
        if warmup is None or self.records_per_warmup_step is None or WARMUP in asked:
            return self.family.resolve_hyperparameters(asked)
        steps = min(max(records // self.records_per_warmup_step, warmup.minimum), warmup.maximum)
        return self.family.resolve_hyperparameters({**asked, WARMUP: steps})


def nova_1_image_tokens(width: int, height: int) -> int:
    """Tokens after Nova v1's rescale: the long side is brought up to about 900 px when smaller.

    The guide gives five sizes only, from 0.89 to 1.23 of area / 625.
    """
    scale = max(1.0, 900 / max(width, height))
    return round(width * height * scale * scale / 625)


def nova_2_image_tokens(width: int, height: int) -> int:
    """Nova 2 bills 230 tokens for an image of any size."""
    return 230


def claude_image_tokens(width: int, height: int) -> int:
    """Claude: area / 750, after images are reduced to a long side of 1,568 px."""
    scale = min(1.0, 1568 / max(width, height))
    return round(width * height * scale * scale / 750)


def _formats(image: str = "", video: str = "", document: str = "") -> Mapping[str, tuple[str, ...]]:
    formats = {"image": image, "video": video, "document": document}
    return MappingProxyType({kind: tuple(names.split()) for kind, names in formats.items()})


NOVA_1 = Family(
    name="nova-v1",
    image_side=900,
    image_tokens=nova_1_image_tokens,
    image_tokens_spread=(0.89, 1.23),
    formats=_formats(image="jpeg png gif webp", video="mov mkv mp4 webm", document="pdf"),
    reasoning=False,
    tools=True,
    training_regions=("us-east-1",),
    serving_regions=("us-east-1",),
    minimum_records=8,
    maximum_records=20_000,
    validation_file=True,
    hyperparameters=MappingProxyType(
        {
            "epochCount": Range(1, 5, 2, integer=True),
            "learningRate": Range(1e-6, 1e-4, 1e-5, integer=False),
            WARMUP: Range(0, 100, 10, integer=True),
        }
    ),
)
NOVA_2 = Family(
    name="nova-2",
    image_side=1280,
    image_tokens=nova_2_image_tokens,
    image_tokens_spread=(1.0, 1.0),
    formats=_formats(image="jpeg png gif", video="mov mkv mp4", document="pdf"),
    reasoning=True,
    tools=False,
    training_regions=("us-east-1",),
    serving_regions=("us-east-1",),
    minimum_records=200,
    maximum_records=20_000,
    validation_file=False,
    hyperparameters=NOVA_1.hyperparameters,
)
CLAUDE = Family(
    name="claude",
    image_side=1568,
    image_tokens=claude_image_tokens,
    image_tokens_spread=(0.95, 1.05),
    formats=_formats(image="jpeg png gif webp"),
    reasoning=False,
    tools=False,
    training_regions=(),
    serving_regions=(),
    minimum_records=0,
    maximum_records=0,
    validation_file=False,
    hyperparameters=MappingProxyType({}),
    images_by="bytes",
)
# Tuned with text only, so never a student here; its datasets can still be validated.
NOVA_MICRO = replace(NOVA_1, name="nova-micro", formats=_formats())

DATASET_MODELS = MappingProxyType(
    {
        **dict.fromkeys(("micro", "micro-1.0"), NOVA_MICRO),
        **dict.fromkeys(("lite", "lite-1.0", "pro", "pro-1.0"), NOVA_1),
        "lite-2.0": NOVA_2,
    }
)
"""Whose rules a dataset follows, by the names that aws-samples' nova_ft_dataset_validator.py takes."""

PROFILE_REGIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "us": ("us-east-1", "us-east-2", "us-west-2"),
        "eu": ("eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3"),
        "apac": ("ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2"),
        "global": (),
    }
)
"""Where a cross-Region inference profile is asked and answered, by the prefix of its id; ``global`` everywhere.

From the model cards of October 2026 (from us-east-1 a ``us.`` profile goes to these three). GetInferenceProfile tells
what holds in an account.
"""

_GENERAL_REFERENCE = "AWS General Reference, Amazon Bedrock endpoints and quotas"
_PRO_QUOTA = DefaultQuota(250, 1_000_000, _GENERAL_REFERENCE, "2026-10-14")
_LITE_QUOTA = DefaultQuota(2_000, 4_000_000, _GENERAL_REFERENCE, "2026-10-14")
# Through cross-Region profiles; the tokens were not read.
_PRO_PROFILE_QUOTA = DefaultQuota(500, 2_000_000, _GENERAL_REFERENCE, "2026-10-14", confirmed=False)
_LITE_PROFILE_QUOTA = DefaultQuota(4_000, 8_000_000, _GENERAL_REFERENCE, "2026-10-14", confirmed=False)
_LITE_2_QUOTA = DefaultQuota(2_000, 8_000_000, _GENERAL_REFERENCE, "2026-10-14", confirmed=False)
# More than one machine can answer.
_LOCAL_QUOTA = DefaultQuota(6_000, 100_000_000, "chosen", "2026-11-25")
_PRO, _LITE, _LITE_2 = "amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0", "us.amazon.nova-2-lite-v1:0"
_LITE_2_GLOBAL = "global.amazon.nova-2-lite-v1:0"

MODELS = {
    model.id: model
    for model in (
        Model(
            _PRO,
            NOVA_1,
            training_id="amazon.nova-pro-v1:0:300k",
            display_name="Nova Pro",
            successor=_LITE_2,
            records_per_warmup_step=320,
            quota=_PRO_QUOTA,
            profile_quota=_PRO_PROFILE_QUOTA,
        ),
        Model(
            _LITE,
            NOVA_1,
            training_id="amazon.nova-lite-v1:0:300k",
            display_name="Nova Lite",
            successor=_LITE_2,
            records_per_warmup_step=160,
            records_quota="L-031F46A7",
            quota=_LITE_QUOTA,
            profile_quota=_LITE_PROFILE_QUOTA,
        ),
        # Asked through the one profile or the other, and tuned as one model.
        *(
            Model(
                profile,
                NOVA_2,
                training_id="amazon.nova-2-lite-v1:0:256k",
                display_name="Nova 2 Lite",
                # No advice of its own was found; that for Nova Lite v1 stands in.
                records_per_warmup_step=160,
                records_quota="L-82EE9228",
                quota=_LITE_2_QUOTA,
            )
            for profile in (_LITE_2, _LITE_2_GLOBAL)
        ),
        # Teachers of another provider; in us-east-1 they are asked through a profile only.
        Model("us.anthropic.claude-sonnet-4-6", CLAUDE, display_name="Claude Sonnet 4.6"),
        Model("global.anthropic.claude-sonnet-4-6", CLAUDE, display_name="Claude Sonnet 4.6"),
        Model("us.anthropic.claude-haiku-4-5-20251001-v1:0", CLAUDE, display_name="Claude Haiku 4.5"),
        Model("global.anthropic.claude-haiku-4-5-20251001-v1:0", CLAUDE, display_name="Claude Haiku 4.5"),
        # The one-machine run: small real models that follow Nova v1's rules and borrow its prices, so
        # that estimate, budget and ledger have something to count. No money is spent on them.
        Model(
            "local.teacher-efficientnet-v1:0",
            NOVA_1,
            display_name="local teacher (EfficientNet-Lite3 + SSD, not Nova)",
            priced_as=_PRO,
            quota=_LOCAL_QUOTA,
        ),
        Model(
            "local.student-efficientnet-v1:0",
            NOVA_1,
            training_id="local.student-efficientnet-v1:0:300k",
            display_name="local student (EfficientNet-Lite0, not Nova)",
            priced_as=_LITE,
            records_per_warmup_step=160,
            quota=_LOCAL_QUOTA,
        ),
        Model(
            "local.teacher-pixels-v1:0",
            NOVA_1,
            display_name="local teacher (pixels only, not Nova)",
            priced_as=_PRO,
            quota=_LOCAL_QUOTA,
        ),
        Model(
            "local.student-pixels-v1:0",
            NOVA_1,
            training_id="local.student-pixels-v1:0:300k",
            display_name="local student (pixels only, not Nova)",
            priced_as=_LITE,
            successor="local.student-pixels-2-v1:0",
            records_per_warmup_step=160,
            quota=_LOCAL_QUOTA,
        ),
        # The same pixels-only student under the rules of the other students.
        Model(
            "local.student-pixels-pro-v1:0",
            NOVA_1,
            training_id="local.student-pixels-pro-v1:0:300k",
            display_name="local student (pixels only, by Nova Pro's rules, not Nova)",
            priced_as=_LITE,
            successor="local.student-pixels-2-v1:0",
            records_per_warmup_step=320,
            quota=_LOCAL_QUOTA,
        ),
        Model(
            "local.student-pixels-2-v1:0",
            NOVA_2,
            training_id="local.student-pixels-2-v1:0:256k",
            display_name="local student (pixels only, by Nova 2's rules, not Nova)",
            priced_as=_LITE_2,
            records_per_warmup_step=160,
            quota=_LOCAL_QUOTA,
        ),
    )
}


def get_model(id: str) -> Model:
    """Return the model with this id, or behind this inference profile; raises ``InvalidRequest`` where no row says."""
    if found := find_model(id):
        return found
    raise InvalidRequest(f"unknown model {id!r}; known: {', '.join(sorted(MODELS))}")


def find_model(id: str) -> Model | None:
    """Return what ``model`` does, or None where no row says."""
    return next((MODELS[known] for known in (id, _name(id), foundation_id(id)) if known in MODELS), None)


def default_quota(id: str) -> Quota:
    """Return what may be asked in a minute of the model with this id, or behind this profile, as documented."""
    known = get_model(id)
    return ((profile_prefix(id) and known.profile_quota) or known.quota).as_quota()


def foundation_id(id: str) -> str:
    """Return the id of the foundation model behind a model's id, a profile's id, or a system profile's ARN."""
    return _name(id).partition(".")[2] if profile_prefix(id) else _name(id)


def profile_prefix(id: str) -> str | None:
    """Return the prefix of an inference profile's id or ARN, such as ``us``; None of a model asked by itself."""
    prefix = _name(id).partition(".")[0]
    return prefix if prefix in PROFILE_REGIONS else None


def provider(id: str) -> str:
    """Return whose model it is, such as ``amazon``."""
    return foundation_id(id).partition(".")[0]


def check_region(id: str, region: str) -> None:
    """Raise ``InvalidRequest`` for a profile that cannot be asked in a Region."""
    regions = PROFILE_REGIONS.get(profile_prefix(id) or "", ())
    if regions and region not in regions:
        raise InvalidRequest(
            f"{id!r} is asked in {', '.join(regions)}, not in {region!r}; name the model's profile for that Region, "
            "such as us. or global."
        )


def _name(id: str) -> str:
    """Strip the ARN of a foundation model or of a profile that AWS made, which end in its id."""
    return id.rpartition("/")[2] if ":inference-profile/" in id or ":foundation-model/" in id else id
