"""Preferences of a person: pairs of answers whose sides are hidden, and the win rate that the choices give.

Agreement with the teacher is not quality. A person's choice between two answers is the cheapest measure of quality.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from distillation import keys
from distillation.answers.formats import format_of
from distillation.answers.formats.base import Format
from distillation.dataset.labels import read_kept_labels
from distillation.documents import Judgement, Preferences, WinRate
from distillation.errors import InvalidRequest, excerpt
from distillation.evaluation.interactive_page import answer_cells, read_pictures, render
from distillation.photos.splits import read_split
from distillation.plain_text import clean, clean_line
from distillation.records import AnswerLine, Run, SplitLine, parse, parse_json, size_of
from distillation.storage import Bucket

MAXIMUM_BYTES = 32 * 1024 * 1024
"""Size limit of a file of preferences, in bytes."""
MARKER = "<!-- preferences -->"
"""Place of the win rates in report.html."""
_Z = 1.959964
"""Standard normal quantile of a two-sided 95 % interval."""
_PROBLEMS_SHOWN = 3

Other = Literal["teacher", "base"]
_OTHERS: tuple[Other, ...] = ("teacher", "base")
_NAMES = {"teacher": "the teacher", "base": "the student before training"}


@dataclass(frozen=True)
class Pair:
    """Two answers about one image."""

    image: str
    """SHA-256 of the image's bytes, in hexadecimal."""
    photo: str
    """Key of the photo."""
    against: Other
    """Whose answer the tuned model's is compared with."""
    left: list[str]
    """Cells of the answer on the left, one for each column of the format."""
    right: list[str]
    """Cells of the answer on the right."""


@dataclass(frozen=True)
class Comparison:
    """Answers of one run that a person can compare."""

    run: Run
    tuned: str
    """Tuned model, such as ``n30``."""
    lines: list[SplitLine]
    """Test images with a valid label of the teacher's; of near-duplicates one, because their answers vary together."""
    answers: Mapping[str, Mapping[str, AnswerLine]]
    """Answers by answerer, and by image."""

    def cells(self, answerer: str, image: str) -> list[str]:
        """Return an answer as a person sees it: one cell for each column, or the text of one that is not valid."""
        line = self.answers[answerer].get(image)
        text = clean(line.text or "").strip() if line else ""
        cells = answer_cells(format_of(self.run), text) if line and line.status == "ok" else None
        return cells or [text or "(no answer)"]

    def equal(self) -> dict[Other, int]:
        """Return the number of images about which the tuned model and another gave the same answer."""
        return {other: len(self.lines) - len(self._differing(other)) for other in _OTHERS}

    def pairs(self, count: int) -> list[Pair]:
        """Return ``count`` pairs, or fewer if there are not so many: half of them against each answerer, mixed."""
        chosen: list[Pair] = []
        for number, other in enumerate(_OTHERS):
            wanted = (count + 1 - number) // len(_OTHERS)
            chosen += [self._pair(line, other) for line in self._differing(other)[:wanted]]
        return sorted(chosen, key=lambda pair: _digest("order", self.run.name, pair.image, pair.against))

    def _differing(self, other: Other) -> list[SplitLine]:
        """Return the images about which the answers differ, in random order."""
        lines = [line for line in self.lines if self.cells(self.tuned, line.image) != self.cells(other, line.image)]
        return sorted(lines, key=lambda line: _digest("sample", self.run.name, line.image, other))

    def _pair(self, line: SplitLine, other: Other) -> Pair:
        sides = [self.cells(self.tuned, line.image), self.cells(other, line.image)]
        if not tuned_is_left(self.run.name, line.image, other):
            sides.reverse()
        return Pair(line.image, line.photo, other, *sides)


def read_comparison(run: Run, tuned: str, data: Bucket) -> Comparison:
    """Read the answers of a run that trained. Raises ``ObjectMissing`` or ``ObjectDamaged``."""
    # With your own label the teacher was not asked about an image.
    labels = {
        image: line
        for image, line in read_kept_labels(run, data).items()
        if line.status == "ok" and line.answerer == "teacher"
    }
    answers: dict[str, Mapping[str, AnswerLine]] = {"teacher": labels}
    for name in ("base", tuned):
        lines = data.read_records(keys.predictions_key(run.name, name), AnswerLine)
        answers[name] = {line.image: line for line in lines}
    groups: dict[str, SplitLine] = {}
    for line in read_split(run, "test", data):
        if line.image in labels:
            groups.setdefault(line.group, line)
    return Comparison(run, tuned, list(groups.values()), answers)


def tuned_is_left(run: str, image: str, against: Other) -> bool:
    """Return whether the tuned model's answer is on the left: pseudo-random, and not shown on the page."""
    return _digest("side", run, image, against)[0] % 2 == 0


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("/".join(parts).encode()).digest()


def preference_page(comparison: Comparison, pairs: Sequence[Pair], data: Bucket) -> str:
    """Return the page as HTML. Pictures are read from the Data bucket."""
    run = comparison.run
    pictures = read_pictures(run, dict.fromkeys(pair.image for pair in pairs), data)
    content = {
        "run": run.name,
        "tuned": comparison.tuned,
        "equal": comparison.equal(),
        "images": len(comparison.lines),
        "columns": _column_names(format_of(run)),
        "pictures": pictures,
        "pairs": [
            {
                "image": pair.image,
                "against": pair.against,
                "name": clean_line(pair.photo.removeprefix(run.collection)),
                "left": pair.left,
                "right": pair.right,
            }
            for pair in pairs
        ],
    }
    return render("prefer.html.j2", content, run=run.name, collection=run.collection, pairs=pairs)


def _column_names(answer_format: Format) -> list[str]:
    columns = answer_format.columns()
    return columns if len(columns) > 1 else []


def read_preferences(body: bytes, source: str) -> Preferences:
    """Return the preferences in a file. ``source`` names it in the message. Raises ``InvalidRequest``."""
    if len(body) > MAXIMUM_BYTES:
        raise InvalidRequest(f"{source} has {len(body):,} bytes, more than {MAXIMUM_BYTES:,}. It is another file.")
    try:
        return parse(Preferences, parse_json(body, source), source)
    except InvalidRequest as error:
        raise InvalidRequest(f"{error}. Name the file that the page of distill prefer downloaded.") from None


def win_rates(
    preferences: Preferences, run: str, tuned: str, test_images: Collection[str], source: str
) -> list[WinRate]:
    """Return the win rate of the tuned model against each answerer that it was compared with.

    Raises ``InvalidRequest`` if the preferences are those of another run or model, or contradict themselves.
    """
    if preferences.run != run:
        raise InvalidRequest(
            f"{source} is about run {excerpt(preferences.run)!r}, not {run!r}. Name the file of {run}."
        )
    if preferences.tuned != tuned:
        raise InvalidRequest(
            f"{source} compares {excerpt(preferences.tuned)!r}, but the run's best model is {tuned!r}. Write a new "
            f"page with: distill prefer {run}"
        )
    places = [(judgement.image, judgement.against) for judgement in preferences.judgements]
    if not places:
        raise InvalidRequest(f"{source} has no judgement. Judge at least one pair and download the file again.")
    if len(set(places)) < len(places):
        raise InvalidRequest(f"{source} judges a pair twice. Download the file from the page again.")
    if unknown := sorted({image for image, _ in places} - set(test_images)):
        shown = ", ".join(map(excerpt, unknown[:_PROBLEMS_SHOWN]))
        raise InvalidRequest(f"{source} names {len(unknown)} images that are not test images of {run}: {shown}.")
    return [
        _win_rate(preferences, other, judged)
        for other in _OTHERS
        if (judged := [judgement for judgement in preferences.judgements if judgement.against == other])
    ]


def _win_rate(preferences: Preferences, other: Other, judged: Sequence[Judgement]) -> WinRate:
    outcomes = [_outcome(preferences.run, judgement) for judgement in judged]
    wins, losses, ties, both_bad = map(outcomes.count, ("win", "loss", "tie", "both bad"))
    rate = (wins + (ties + both_bad) / 2) / len(judged)
    return WinRate(
        against=other,
        pairs=len(judged),
        wins=wins,
        losses=losses,
        ties=ties,
        both_bad=both_bad,
        rate=rate,
        ci95=wilson(rate, len(judged)),
        equal=preferences.equal.get(other, 0),
        images=preferences.images,
    )


def _outcome(run: str, judgement: Judgement) -> str:
    if judgement.choice not in ("left", "right"):
        return judgement.choice
    is_tuned = (judgement.choice == "left") == tuned_is_left(run, judgement.image, judgement.against)
    return "win" if is_tuned else "loss"


def wilson(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share of ``count`` independent pairs (Wilson 1927).

    Ties vary less than wins and losses, so with ties the interval is too wide rather than too narrow.
    """
    centre = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * math.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def preference_sentence(rate: WinRate) -> str:
    """Return a win rate in a sentence."""
    low, high = rate.ci95
    return (
        f"A person preferred the tuned model's answer to that of {_NAMES[rate.against]} in {100 * rate.rate:.0f} % of "
        f"{rate.pairs} pairs (95 % CI {100 * low:.0f}-{100 * high:.0f} %): {rate.wins} better, {rate.losses} worse, "
        f"{rate.ties} as good, {rate.both_bad} both bad."
    )


def with_preferences(html: str, tuned: str, rates: Sequence[WinRate]) -> str:
    """Return report.html with the win rates after the agreement.

    Raises ``InvalidRequest`` if the report has no place for them.
    """
    before, marker, after = html.partition(MARKER)
    if not marker:
        raise InvalidRequest(
            "report.html of this run has no place for preferences: an older version wrote it. Start the run again."
        )
    rows: list[dict[str, Any]] = [{"rate": rate, "sentence": preference_sentence(rate)} for rate in rates]
    section = render("preferences.html.j2", {}, rows=rows, tuned=f"tuned on {size_of(tuned)}", names=_NAMES)
    return f"{before}{marker}{section}{after}"
