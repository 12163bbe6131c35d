"""JSON documents that a run leaves in the Data bucket, for the steps that follow, the command line and people.

``docs/data-formats.md`` shows each as a table of fields, generated from these models.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter

from distillation.records import Record, Round, Run, ServiceTier, TrainedModel, Until


class Interval(Record):
    """A mean with its 95 % percentile bootstrap interval (10,000 resamples of near-duplicate groups)."""

    mean: float
    """Mean over the test images."""
    ci95: tuple[float, float]
    """Lower and upper bound."""

    @property
    def low(self) -> float:
        """Lower bound."""
        return self.ci95[0]

    @property
    def high(self) -> float:
        """Upper bound."""
        return self.ci95[1]


class Bounds(Record):
    """An expected value between two bounds."""

    low: float
    """Lower bound."""
    expected: float
    """Expected value."""
    high: float
    """Upper bound."""

    def __add__(self, other: Bounds) -> Bounds:
        return Bounds(low=self.low + other.low, expected=self.expected + other.expected, high=self.high + other.high)

    def times(self, factor: float) -> Bounds:
        """Return the bounds multiplied by a known factor."""
        return Bounds(low=self.low * factor, expected=self.expected * factor, high=self.high * factor)

    def times_bounds(self, factor: Bounds) -> Bounds:
        """Return the bounds multiplied by a factor that has bounds itself."""
        return Bounds(low=self.low * factor.low, expected=self.expected * factor.expected, high=self.high * factor.high)


class StepCost(Bounds):
    """Cost of one step in US dollars."""

    confirmed: bool
    """Whether an official price list confirms every price behind it."""


class PriceRow(Record):
    """One row of prices.toml: ``usd`` buys ``per`` of ``unit``."""

    product: str
    """Model id or AWS service."""
    use: str
    """Kind of use, such as ``input`` or ``training``."""
    usd: float
    """US dollars."""
    per: float
    """Quantity that ``usd`` buys, in ``unit``."""
    unit: str
    """Unit of the quantity, such as ``tokens``."""
    source: str
    """Document that has the price."""
    date: str
    """Day on which the source was read, ISO 8601."""
    confirmed: bool
    """Whether an official price list has the price."""


class EstimateLine(Record):
    """One line of an estimate: what a step uses and what that costs."""

    round: int = 0
    """Number of the round."""
    step: str
    """State, or AWS service."""
    what: str
    """Item that is used, such as ``Nova Pro, input``."""
    quantity: Bounds
    """Quantity, in the unit of ``price``."""
    usd: Bounds
    """US dollars."""
    price: PriceRow
    """Price that the line depends on."""


class MonthlyCost(Record):
    """Monthly cost of storage after the run."""

    range: Bounds
    """US dollars per month."""
    lines: list[EstimateLine]
    """Lines that add up to ``range``."""


class BreakEven(Record):
    """When distilling costs less than asking the teacher on its cheapest service tier."""

    teacher_usd_per_1000: float
    """US dollars for 1,000 answers of the teacher on its cheapest tier."""
    student_usd_per_1000: float
    """US dollars for 1,000 answers of the tuned model."""
    storage_usd_per_month: float
    """US dollars a month for the storage of one tuned model."""
    storage_images_per_month: int | None
    """Images a month that the storage alone requires; null if the student is not cheaper."""
    images: Bounds | None
    """Images after which the run has paid for itself, without storage; null if the student is not cheaper."""
    images_per_month: int | None
    """Images a month of the request; null if it has none."""
    months: Bounds | None
    """Months after which the run has paid for itself; null without ``images_per_month``, or if it never does."""
    verdict: str
    """The comparison in a sentence."""

    @property
    def never_pays(self) -> bool:
        """Whether the tuned model never costs less than the teacher, as far as the images per month are known."""
        return self.images is None or (self.images_per_month is not None and self.months is None)


class PlannedRound(Record):
    """Cost of one round in the plan of an estimate."""

    number: int
    """Number of the round."""
    kind: Literal["baseline", "training"]
    """Whether alternatives are measured, or models trained."""
    sizes: list[int]
    """Training sizes that are new in this round, in images; empty in the baseline round."""
    labels_to_ask: int
    """Labels that the teacher is asked for."""
    usd: Bounds
    """US dollars of the round."""
    hours: Bounds
    """Duration of the round in hours."""
    result: str
    """Result that the round gives, in a sentence."""


class ProvisionedCost(Record):
    """Additional cost of serving the tuned models on provisioned throughput during the evaluation."""

    usd: Bounds
    """US dollars."""
    hours: Bounds
    """Hours; AWS bills at least one for each model."""
    price: PriceRow
    """Price for an hour of one model unit."""


class SetAside(Record):
    """A photo or label that was left out."""

    photo: str
    """Key of the photo; its name below the folder in an estimate for a folder."""
    reason: str | None
    """Reason why it was left out."""


class DailyQuotaUse(Record):
    """Expected tokens of a run at one model, compared with the tokens per day that the account may use."""

    model: str
    """Model id."""
    tokens: int
    """Expected tokens of the run."""
    tokens_per_day: float
    """Daily quota of the account, as far as it is known."""
    days: float
    """Tokens in multiples of the daily quota; above 1 the run waits until the quota is renewed."""


class Preflight(Record):
    """Findings of ``distill estimate`` before the run starts.

    Also the output of ``distill estimate --json`` if the run cannot be estimated, such as for too few photos. Only that
    command fills the fields.
    """

    refusals: list[str] = Field(default_factory=list)
    """Errors with which the run would be refused."""
    not_checked: list[str] = Field(default_factory=list)
    """Checks that ``distill estimate`` could not make and that may still stop the run."""
    unreadable: list[SetAside] = Field(default_factory=list)
    """Photos that cannot be used."""
    skipped: dict[str, int] = Field(default_factory=dict)
    """Number of files that are not photos, keyed by kind."""


class ApplyEstimate(Preflight):
    """``report/estimate.json`` of a run with ``apply``, and the part that every estimate has."""

    usd: float
    """Expected cost in US dollars, compared with ``max_usd``."""
    range: Bounds
    """Expected cost with its bounds, in US dollars."""
    max_usd: float
    """Budget of the request, in US dollars."""
    within_budget: bool
    """Whether the expected cost is within the budget."""
    verdict: str
    """The estimate in a sentence."""
    daily_quotas: list[DailyQuotaUse] = Field(default_factory=list)
    """Tokens compared with the daily quota, one entry per model."""


class Estimate(ApplyEstimate):
    """``report/estimate.json`` of a run, and the output of ``distill estimate --json``."""

    by_step: dict[str, StepCost]
    """US dollars by step."""
    lines: list[EstimateLine]
    """Lines that add up to ``range``."""
    monthly: MonthlyCost
    """Storage of photos, images and tuned models after the run."""
    photos: int
    """Photos of the collection."""
    images: int
    """Distinct images among them."""
    test: int
    """Images in the test set."""
    sizes: list[int]
    """Training sizes, in images."""
    labels_to_ask: int
    """Labels that the teacher is asked for."""
    labels_reused: int
    """Labels that earlier runs paid for."""
    label_minutes: float
    """Minutes that labelling takes at the teacher's rate limit."""
    range_from: list[str]
    """Assumptions behind the bounds."""
    warnings: list[str]
    """Old or not confirmed prices, reduced training sizes, and daily quotas of which the run uses more than half."""
    detectable: float
    """Minimum detectable gain in agreement (80 % power).

    Its standard deviation is ``gain_sd``, or 0.1 before the first run.
    """
    gain_sd: float | None = None
    """Standard deviation per image of the gains that the student's last run measured; null before the first run."""
    plan: list[PlannedRound]
    """Rounds that the run may have, the current one and those before included."""
    break_even: BreakEven | None
    """Break-even against the teacher; null if the run trains nothing."""
    provisioned: ProvisionedCost | None
    """Additional cost with provisioned throughput; null if its price is unknown or nothing is trained."""


class SplitFacts(Record):
    """``splits/facts.json``: what Split found in the collection."""

    photos: int
    """Photos, ignored files not counted."""
    refused: int
    """Photos that cannot be used."""
    images: int
    """Images in the three sets."""
    train: int
    """Images in the training set."""
    validation: int
    """Images in the validation set."""
    test: int
    """Images in the test set."""
    excluded: int
    """Photos left out by ``exclude_flags`` or your own labels, or because they resemble images of two sets."""
    not_sampled: int = 0
    """Photos that ``sample`` left out."""
    held_out: int = 0
    """Photos of test or validation images beyond ``test_images``: not used, and never trained on."""
    rejected: int = 0
    """Photos among ``excluded`` that your own labels reject (``use`` is ``no``)."""
    exact_duplicates: int
    """Photos whose image is another photo's."""
    near_duplicates: int
    """Images that are near-duplicates of another one."""
    groups: int
    """Groups of near-duplicates; an image without any is its own group."""
    leaked_by_random_split: float
    """Expected number of test photos with a near-duplicate in training, if photos were assigned independently."""
    flags: dict[str, int]
    """Photos by quality flag."""
    own_labels: int
    """Images with a label of the owner's."""
    skipped: dict[str, int] = Field(default_factory=dict)
    """Skipped files by kind, such as ``video``; see ``distillation/photos/files.py``."""
    notes: list[str] = Field(default_factory=list)
    """Damaged set assignments of earlier runs that were ignored; this run assigned their images anew."""


class Rounds(Record):
    """``splits/rounds.json``: the rounds that a run may have. Growth may stop before the last one."""

    rounds: list[Round]
    """Rounds in order."""


class DatasetHashes(Record):
    """``dataset/hashes.json``: the dataset files as ValidateDataset checked them."""

    sha256: dict[str, str]
    """SHA-256 of each file in hexadecimal, keyed by S3 key."""


REFERENCES = ("floor", "control", "nearest")
"""Reference values that scores are compared with, in the order of the report."""


class ScoresByRole(Record):
    """Mean agreement with the teacher, by answerer and for the reference values."""

    base: Interval | None = None
    """The student before training."""
    tuned: dict[str, Interval]
    """Tuned models by name, such as ``n30``."""
    ceiling: Interval | None = None
    """The teacher's agreement with itself."""
    floor: Interval | None = None
    """Agreement of shuffled pairs."""
    control: Interval | None = None
    """Agreement of the best constant answer, learnt from the training labels."""
    nearest: Interval | None = None
    """Agreement of the label of the training image that looks most similar; null without perceptual hashes."""

    @property
    def by_name(self) -> dict[str, Interval]:
        """Scores that were measured, by name, without ``tuned``."""
        named = {name: getattr(self, name) for name in ("base", "ceiling", *REFERENCES)}
        return {name: score for name, score in named.items() if score is not None}


class Headlines(Record):
    """Shares of a gap that the best tuned model closes, 0-1; null if the gap is not significant.

    The smaller of ``gap_closed`` and ``beyond_control`` is the one that the report leads with.
    """

    gap_closed: Interval | None = None
    """Share of the gap from base to ceiling."""
    gap_closed_unnormalised: Interval | None = None
    """The same without normalisation; null in a format without it."""
    beyond_control: Interval | None = None
    """Share of the gap from control to ceiling."""


class SizeTest(Record):
    """Paired comparison of a tuned model with base."""

    gain: Interval
    """Mean gain in agreement."""
    p: float
    """Two-sided p value of a sign-flip permutation test over groups."""
    p_holm: float
    """``p`` corrected for the number of sizes (Holm 1979)."""


class SizeChoice(Record):
    """How the best of several training sizes was chosen."""

    set: Literal["validation", "test"]
    """Set whose images it was chosen on. Validation images leave the test images for a single comparison."""
    images: int
    """Images of the set with a label."""
    agreement: dict[str, float]
    """Mean agreement on them by tuned model."""


class Gate(Record):
    """Decision whether the best tuned model is promoted."""

    best: str
    """Chosen tuned model, such as ``n30``."""
    gain: Interval
    """Its gain over base in agreement."""
    passed: bool
    """Whether enough answers are valid, and the gain is significant, above ``gate_margin`` and over the control."""
    promoted: str | None
    """Name of the promoted model; null if the gate refused it or ``keep`` is ``none``."""
    reasons: list[str]
    """Reasons of a refusal; empty if the gate passed."""
    p: float | None = None
    """p value of the gain that was compared with 0.05: ``p_holm`` of a size chosen on the test images, else ``p``."""
    disagreement: str | None = None
    """Why the interval of the gain and the permutation test disagree; null if they agree."""
    over_control: Interval | None = None
    """Gain over the control."""


class CurvePoint(Interval):
    """One point of a fitted curve."""

    size: float
    """Training images."""


class Curve(Record):
    """Scaling curve ``a - b n^-c`` fitted to three sizes or more."""

    line: list[CurvePoint]
    """Scores from the smallest size to twice the largest."""
    next_size: int
    """Twice the largest size, in images."""
    expected: Interval
    """Expected score at ``next_size``."""
    gain: Interval
    """Expected gain from the largest size to ``next_size``."""


class Table(Record):
    """A table of a report."""

    title: str
    """Heading of the table."""
    columns: list[str]
    """Headings of the columns; the first column names the rows."""
    rows: list[list[str | int | float | None]]
    """Cells of each row; null for one that has no value."""
    note: str | None = None
    """Sentence below the table."""


class GoldScores(Record):
    """Agreement with the owner's own labels (``own_labels: gold``)."""

    images: int
    """Test images with a label of the owner's."""
    agreement: dict[str, Interval]
    """Agreement by answerer, teacher included."""


class ServingCost(Record):
    """Cost and latency of one answerer's answers."""

    latency_ms: float | None
    """Median latency in milliseconds."""
    input_tokens: float
    """Mean input tokens per answer."""
    output_tokens: float
    """Mean output tokens per answer."""
    usd_per_1000: float | None
    """US dollars for 1,000 images; null without a price."""


class EvaluationFigures(Record):
    """Figures of an evaluation: every answerer against the teacher's labels of the test images."""

    best: str
    """Chosen tuned model, with the highest mean agreement on the images of ``size_choice``, such as ``n30``."""
    format: str
    """Answer format."""
    similarity: str
    """Name of the similarity of two answers, such as ``Jaccard index``; 0-1."""
    agreement: ScoresByRole
    """Mean similarity to the teacher's labels. An answer that is missing or not valid has 0."""
    metrics: dict[str, dict[str, Interval]]
    """Mean of each measure by answerer: ``valid``, the share of valid answers, and those of the answer format."""
    headlines: Headlines
    """Shares of the gap closed."""
    gate: Gate | None
    """Promotion decision; null without base."""
    tests: dict[str, SizeTest]
    """Comparison with base by tuned model."""
    detectable: float
    """Minimum detectable gain in agreement (80 % power), from the measured standard deviation of the gains."""
    gain_sd: float | None = None
    """Standard deviation of the best model's gains over base per image; null without base or with a single image."""
    curve: Curve | None
    """Scaling curve; null with fewer than three sizes."""
    tables: list[Table]
    """Tables of the answer format."""
    gold: GoldScores | None
    """Scores against own labels; null without them."""
    serving: dict[str, ServingCost]
    """Cost and latency by answerer."""
    test_images: int
    """Test images with a label."""
    test_groups: int
    """Groups of near-duplicates among them."""
    size_choice: SizeChoice | None = None
    """How the best size was chosen; null with one size."""
    ceiling_images: int | None = None
    """Test images with a label that the ceiling was measured on; null without a ceiling.

    The shares of a gap in ``headlines`` are those of these images too, all other figures of all test images.
    """
    over_nearest: Interval | None = None
    """Best tuned model's gain over ``nearest``; null without perceptual hashes."""


class Recommendation(Record):
    """The next thing to do, derived from the figures."""

    action: Literal[
        "use the teacher",
        "use an alternative",
        "fix the prompt",
        "train",
        "use the tuned model",
        "stop here",
        "more photos",
        "grow",
        "cannot tell",
    ]
    """Kind of recommendation."""
    text: str
    """The recommendation in one or two sentences, with its price and expected effect."""
    usd: float | None = None
    """Expected cost in US dollars; null if it costs nothing or is unknown."""
    effect: Interval | None = None
    """Expected gain in agreement; null if unknown."""


class Alternative(Record):
    """A way to answer without training."""

    name: str
    """Answerer: ``base``, ``examples``, or the name of another student."""
    label: str
    """Name for people, such as ``Nova Lite with 5 examples in its prompt``."""
    model: str
    """Model id."""
    agreement: Interval
    """Agreement with the teacher's labels on the images of the ceiling."""
    valid: Interval
    """Share of valid answers."""
    usd_per_1000: float | None
    """US dollars for 1,000 answers; null without a price."""


class BaselineFigures(Record):
    """Agreement of the alternatives to training with the teacher."""

    test_images: int
    """Test images with a label and a second answer of the teacher."""
    test_groups: int
    """Groups of near-duplicates among them."""
    labels_refused: int = 0
    """Test images that were asked about and have no usable label."""
    alternatives: list[Alternative]
    """Alternatives, ``base`` first."""
    ceiling: Interval
    """The teacher's agreement with itself."""
    ceiling_valid: Interval
    """Share of valid answers among the teacher's second ones."""
    teacher_usd_per_1000: float | None
    """US dollars for 1,000 answers of the teacher on its cheapest tier; null without a price."""
    best: str
    """Alternative with the highest mean agreement."""
    gap: Interval
    """Ceiling minus the best alternative: what training could still close.

    The interval is corrected for the number of alternatives that the best one was chosen from (Bonferroni).
    """
    minimum_gap: float
    """Gap of the request below which nothing is trained."""
    worth_training: bool
    """Whether the upper bound of the gap is at least ``minimum_gap``, or the test images are too few to tell."""
    notes: list[str] = Field(default_factory=list)
    """Models that could not be asked, with the reason."""

    @property
    def best_alternative(self) -> Alternative:
        """The alternative with the highest mean agreement."""
        return next(alternative for alternative in self.alternatives if alternative.name == self.best)


class Baseline(BaselineFigures):
    """``report/baseline.json``: the alternatives to training, measured before the training images are labelled."""

    recommendation: Recommendation
    """Whether to distil, in words."""


class GrownRound(Record):
    """One training round of a run with ``grow``."""

    size: int
    """Training images."""
    labels: int
    """Images whose label the round needed first; the first training round includes those of the baseline round."""
    usd: float | None
    """US dollars spent in the round, and in the baseline round before the first one.

    Null if the report of an earlier round could not be read.
    """
    agreement: Interval | None
    """Agreement of the tuned model with the teacher; null if the size was not trained."""


class StudentPrompt(Record):
    """Effect of the student's own prompt, at four bytes of text per token."""

    teacher_tokens: int
    """Tokens of the teacher's prompt."""
    student_tokens: int
    """Tokens of the student's prompt."""
    saved_usd_per_1000: float
    """US dollars that the shorter prompt saves for 1,000 answers of the student; negative if it is longer."""


class Growth(Record):
    """Rounds of a run with ``grow``."""

    rounds: list[GrownRound]
    """Training rounds that ended, in order."""
    next_size: int | None
    """Training images of the next round; null after the last one."""
    next_gain: Interval | None
    """Expected gain in agreement of the next round; null if unknown."""
    next_usd: Bounds | None
    """Expected cost of the next round in US dollars; null without one."""
    stopped: Literal["flat", "budget", "quota", "all images", "failed"] | None
    """Reason why growth stopped; null while it continues."""
    reason: str
    """Reason why growth stopped or continues, in a sentence."""


class Audit(Record):
    """Agreement of a tuned model with the teacher on a random share of the images that it was asked about."""

    asked: int
    """Images that were chosen for the audit."""
    images: int
    """Images among them that the teacher gave a valid label for."""
    agreement: Interval | None
    """Agreement with the teacher on them; null if there is none. An answer that is not valid scores 0."""
    evaluation: Interval | None
    """Agreement that the model's own run measured; null if it cannot be read or has your own labels in it."""
    drifted: bool
    """Whether the upper bound of ``agreement`` is below the lower bound of ``evaluation``, with at least 10 images."""
    reason: str | None = None
    """Why the teacher did not label the first image without a label; null if it labelled all."""


class Disagreement(Record):
    """An image whose label samples disagree."""

    photo: str
    """Key of the photo."""
    image: str
    """SHA-256 of the image's bytes, in hexadecimal."""
    disagreement: float
    """One minus the mean similarity of each two samples, 0-1."""


class Loss(Record):
    """Loss of a job at one step."""

    step: float
    """Training step."""
    loss: float
    """Loss."""


class LedgerEntry(Record):
    """Paid calls of one model in one step."""

    step: str
    """State."""
    model: str
    """Model id."""
    tier: ServiceTier
    """Service tier."""
    calls: int
    """Calls that were billed."""
    throttled: int
    """Calls that were throttled and not billed."""
    reused: int
    """Answers that were already paid for."""
    input_tokens: int
    """Input tokens."""
    output_tokens: int
    """Output tokens."""
    training_tokens: int
    """Training tokens."""
    usd: float
    """US dollars."""
    confirmed: bool
    """Whether an official price list confirms the prices."""


class Ledger(Record):
    """``ledger.json``: what a run paid for, by step, model and tier."""

    usd: float
    """Total in US dollars."""
    entries: list[LedgerEntry]
    """Entries by step, model and tier."""


class Doubling(Record):
    """Expected effect of twice the largest training size."""

    size: int
    """Training images."""
    gain: Interval
    """Expected gain in agreement."""
    usd: float
    """Expected cost in US dollars."""


class StepMoney(Record):
    """Estimated and spent US dollars of one step."""

    step: str
    """State, or AWS service."""
    estimated: StepCost | None
    """Estimate; null if the step was not estimated."""
    spent: float | None
    """US dollars; null for AWS services, which only the account's bill shows."""
    confirmed: bool
    """Whether an official price list confirms every price behind it."""


class Money(Record):
    """Estimated and spent US dollars."""

    by_step: list[StepMoney]
    """Estimated steps in their order, then steps that only the ledger has."""
    break_even_images: int | None
    """Images after which the run costs less than asking the teacher, without storage; null if it never does."""
    break_even: BreakEven | None = None
    """The same with storage and ``images_per_month``; null without measured prices."""


class Judgement(Record):
    """A person's choice between two answers about one image, whose sides were hidden."""

    image: str
    """SHA-256 of the image's bytes, in hexadecimal."""
    against: Literal["teacher", "base"]
    """Whose answer the tuned model's was compared with."""
    choice: Literal["left", "right", "tie", "both bad"]
    """The better side. ``distillation/evaluation/preferences.py`` derives the tuned model's side from run and image."""


class Preferences(Record):
    """``preferences.json``, which the page of ``distill prefer`` downloads."""

    run: str
    """Name of the run."""
    tuned: str
    """Tuned model, such as ``n30``."""
    equal: dict[Literal["teacher", "base"], int]
    """Test images about which both answers are equal, keyed by the other answerer; they are not judged."""
    images: int
    """Test images that were compared; of near-duplicates one."""
    judgements: list[Judgement]
    """Choices, one for each pair."""


class WinRate(Record):
    """How often a person preferred the tuned model's answers to another's, where the two differ."""

    against: Literal["teacher", "base"]
    """Whose answers they were compared with."""
    pairs: int
    """Pairs that were judged."""
    wins: int
    """Pairs in which the tuned model's answer is better."""
    losses: int
    """Pairs in which the other answer is better."""
    ties: int
    """Pairs in which both are as good."""
    both_bad: int
    """Pairs in which both are bad; they count as half a win, as ties do."""
    rate: float
    """Share of wins, 0-1; a tie is half a win."""
    ci95: tuple[float, float]
    """Lower and upper bound of ``rate`` (Wilson 1927)."""
    equal: int
    """Test images about which both answers are equal."""
    images: int
    """Test images that were compared; of near-duplicates one."""


class Report(Record):
    """``report/report.json`` of a run that trains, or that stopped earlier on request."""

    kind: Literal["training"] = "training"
    """Kind of report."""
    run: str
    """Name of the run."""
    status: str
    """``complete``, how many items were set aside, or how far a run with ``grow`` is."""
    until: Until | None
    """Step after which the run was asked to stop."""
    verdict: str
    """The result in words."""
    photos: int
    """Photos, ignored files not counted."""
    images: int
    """Distinct images."""
    photos_set_aside: list[SetAside]
    """Photos that cannot be used."""
    labels_set_aside: list[SetAside]
    """Photos whose label cannot be used."""
    set_aside: int
    """Number of photos and labels that were set aside."""
    train: int
    """Images in the training set."""
    validation: int
    """Images in the validation set."""
    test: int
    """Images in the test set."""
    samples_per_image: int
    """Answers of the teacher for each label."""
    labels_by: dict[str, int]
    """Number of usable labels by source: ``teacher``, ``owner``."""
    own_test_labels: int
    """Test images whose label is the owner's."""
    disagreements: list[Disagreement]
    """The 20 images whose samples disagree most."""
    labelled: int
    """Images with a usable label."""
    split: SplitFacts | None
    """Copy of ``splits/facts.json``."""
    teacher: str
    """Model id of the teacher."""
    student: str
    """Model id of the student."""
    models: list[TrainedModel]
    """Trained sizes, the failed ones included."""
    training_loss: dict[str, list[Loss]]
    """Training losses by size; empty if the job wrote none."""
    validation_loss: dict[str, list[Loss]]
    """Validation losses by size; empty if the job wrote none."""
    estimate: Estimate | None
    """Copy of ``estimate.json``; null if it is missing or damaged."""
    ledger: Ledger
    """Copy of ``ledger.json``."""
    usd: float
    """US dollars spent."""
    sizes_asked: list[int] | None
    """Training sizes of the request."""
    evaluation: EvaluationFigures | None
    """Figures; null if nothing was trained."""
    doubling: Doubling | None
    """Expected effect of twice the largest size; null without a curve."""
    money: Money
    """Estimated and spent US dollars by step."""
    student_prompt: StudentPrompt | None = None
    """Effect of the student's own prompt; null if it has the teacher's."""
    baseline: Baseline | None = None
    """Copy of ``baseline.json``; null without a baseline round."""
    growth: Growth | None = None
    """Rounds of a run with ``grow``; null without."""
    recommendation: Recommendation | None = None
    """Recommended next step."""
    notes: list[str] = Field(default_factory=list)
    """Evidence that was left out because it is missing or damaged, and that the verdict does not need."""

    review_key: str | None = None
    """Key of the first page to review the labels; null unless ``until`` is ``LabelImages``."""
    preferences: list[WinRate] | None = None
    """A person's preferences; only in the file that ``distill report --preferences`` writes."""

    @property
    def is_final(self) -> bool:
        """Whether no round follows. Only a final report decides which models are promoted, used and kept."""
        return self.growth is None or self.growth.stopped is not None

    @property
    def promoted(self) -> TrainedModel | None:
        """The model that passed the gate and is kept, if there is one."""
        gate = self.evaluation and self.evaluation.gate
        name = gate.promoted if gate else None
        return next((model for model in self.models if name and model.model_name == name), None)

    @property
    def best_model(self) -> TrainedModel | None:
        """The chosen tuned model, whether or not it is promoted; None if nothing was trained."""
        best = self.evaluation and self.evaluation.best
        return next((model for model in self.models if model.answerer == best), None)


class ApplyReport(Record):
    """``report/report.json`` of a run with ``apply``."""

    kind: Literal["apply"] = "apply"
    """Kind of report."""
    run: str
    """Name of the run."""
    applied: str
    """Run whose model answered."""
    status: str
    """``complete``, or how many photos were set aside."""
    verdict: str
    """The result in words."""
    photos: int
    """Photos, ignored files not counted."""
    set_aside: int
    """Photos without a usable answer."""
    estimate: ApplyEstimate | None
    """Copy of ``estimate.json``; null if it is missing or damaged."""
    ledger: Ledger
    """Copy of ``ledger.json``."""
    usd: float
    """US dollars spent."""
    fallbacks: int = 0
    """Photos with an answer of the teacher because the tuned model's was not valid."""
    audit: Audit | None = None
    """Agreement on the audited images; null with ``audit_share`` 0."""
    recommendation: Recommendation | None = None
    """Recommended next step."""
    files: list[str]
    """Keys of the result tables."""

    @property
    def is_final(self) -> bool:
        """True: a run with ``apply`` has a single round."""
        return True


AnyReport = Report | ApplyReport
_ANY_REPORT: TypeAdapter[AnyReport] = TypeAdapter(
    Annotated[AnyReport, Field(discriminator="kind")], config=ConfigDict(defer_build=True)
)


def parse_report(body: bytes) -> AnyReport:
    """Return the report in ``body`` as JSON. Raises ``pydantic.ValidationError`` if it is not one."""
    return _ANY_REPORT.validate_json(body)


class AnswersFile(Record):
    """A file of answers that ``distill evaluate`` read."""

    name: str
    """Name of the file."""
    layout: str
    """``JSON Lines``, ``JSON`` or ``CSV``."""
    form: str
    """Form of most answers, such as ``lists of keywords, median 6``."""
    answers: int
    """Number of answers."""
    unknown: list[str]
    """Images that the teacher's file does not name. Their answers are left out."""


class FilesReport(Record):
    """``report.json`` of ``distill evaluate``, which compares files of answers."""

    status: str
    """``complete``, or how many images have no answer."""
    verdict: str
    """The result in words."""
    unanswered: int
    """Labelled images without an answer of the student."""
    files: dict[str, AnswersFile]
    """Files that were read: ``teacher``, ``student``, ``base`` and ``ceiling``."""
    evaluation: EvaluationFigures
    """Figures."""


class Manifest(Record):
    """``manifest.json``: how the models of a run were made, complete enough to repeat it."""

    run: Run
    """Copy of ``request.json``."""
    code: str
    """Commit of the deployed code, and hash of its functions, state machine and prompts."""
    prompt_sha256: str
    """Hash of the teacher's prompt."""
    student_prompt_sha256: str | None = None
    """Hash of the student's prompt."""
    labelers: dict[str, str]
    """Labeler ids of ``teacher`` and ``ceiling``."""
    datasets_sha256: dict[str, str]
    """Hashes of the dataset files by key; a dataset names each image by its hash, so the hash covers the images."""
    hyperparameters: dict[str, dict[str, str]]
    """Hyperparameters by training size, as sent to Bedrock."""
    model_ids: dict[str, str | None]
    """Model ids of ``teacher``, ``student`` and ``tuned_as``, the id that jobs are created with."""
    models: list[TrainedModel]
    """Trained sizes."""
    agreement: ScoresByRole | None
    """Scores; null if nothing was trained."""
    gate: Gate | None
    """Promotion decision; null if nothing was trained."""
    usd: float
    """US dollars spent."""
    prices: list[PriceRow]
    """Prices that were used."""


class ReplacedDeployment(Record):
    """``deployment.json``: the deployment of an earlier run that now serves this run's promoted model."""

    deployment_name: str
    """Name of the deployment."""
    deployment_arn: str
    """ARN of the deployment, which callers use."""
    model_arn: str
    """ARN of the promoted model."""
    replaces: str
    """Run whose deployment it was."""


class RunBudget(Record):
    """A run that may spend money in a month."""

    run: str
    """Name of the run."""
    created: AwareDatetime
    """Time at which Prepare admitted the run, ISO 8601 in UTC."""
    max_usd: float = Field(ge=0)
    """Highest cost of the run in US dollars, which counts while the run is running."""
    executions: list[str] = Field(min_length=1)
    """ARNs of the executions that Prepare admitted for the run; usually one."""
    settled_usd: float | None = Field(default=None, ge=0)
    """Cost in US dollars of a run that has ended; null before that is final."""


class MonthBudget(Record):
    """``budget/<month>.json``: the runs that count against the stage's ``max_usd_per_month``."""

    runs: list[RunBudget] = Field(default_factory=list)
    """Runs in the order in which they were admitted."""


class FailureCause(Record):
    """Why an execution failed."""

    state: str
    """State that failed."""
    error: str
    """Name of the error."""
    cause: str
    """Description of the failure, with a remedy if one is known."""


class Failure(FailureCause):
    """``failure.json``: why a run ended early; also of a run that Prepare refused."""

    run: str
    """Name of the run."""
    execution: str
    """ARN of the execution."""
