"""Print what distilling costs by the article's procedure, in one round and with growth, line by line with sources.

    python -m benchmarks.cost

Photos are 900x600 after resizing. In the article's procedure all photos are training images, and 100 more are a random
test set. Answers have at most 1,024 tokens, and jobs have 5 epochs. The tuned model runs on provisioned throughput for
one hour. In one round and with growth, the stage has Nova 2 Lite as another student, so that the baseline round asks it
too. All figures are expected costs in US dollars by distillation/models/prices.toml, not verified against AWS.

The exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from cli.requests import resolve_request
from cli.stage import ROOT
from distillation.costs.lines import CostLine, exactly, format_cents, merged, total
from distillation.costs.rounds import round_lines
from distillation.costs.tokens import RunTokens
from distillation.costs.workload import RoundWork, Workload, predict_workload, workload_of
from distillation.models import catalog
from distillation.records import Dimensions, Run, SetName, SplitLine

_PHOTOS = (300, 900, 20_000)
_PHOTO: Dimensions = (900, 600)
_ARTICLE_TEST_IMAGES = 100
_ARTICLE_REQUEST: dict[str, Any] = json.loads((ROOT / "samples/requests/article.json").read_text("utf-8"))
_WITHOUT_GROWTH = {20_000: {"train_sizes": [18_000]}}
"""Fields of a request that trains in one round, by number of photos; others do so by default."""
_OTHER_STUDENT = "us.amazon.nova-2-lite-v1:0"
_PUBLISHED_BILL = {300: 2.1, 900: 7.5}
"""US dollars of training in the article, by number of photos (about 2025, Nova Lite, 5 epochs)."""


@dataclass(frozen=True)
class Round:
    """Lines of one round."""

    name: str
    lines: list[CostLine]

    @property
    def usd(self) -> float:
        """Expected cost in US dollars."""
        return total(self.lines).expected


@dataclass(frozen=True)
class Bar:
    """A cost with its limit, both in US dollars."""

    what: str
    usd: float
    low: float
    high: float

    @property
    def limit(self) -> str:
        """The limits as text."""
        if self.high == inf:
            return "none"
        return f"{self.low:,.2f} to {self.high:,.2f}" if self.low else f"at most {self.high:,.2f}"

    @property
    def is_met(self) -> bool:
        """Whether the cost is within the limits."""
        return self.low <= self.usd <= self.high


def main() -> int:
    for photos in _PHOTOS:
        _print_rounds(f"{photos:,} photos, the article's procedure", article(photos))
        _print_rounds(f"{photos:,} photos, one round", rounds(photos, _WITHOUT_GROWTH.get(photos, {})))
        _print_rounds(f"{photos:,} photos, growth", rounds(photos, {"grow": True}))
    _print("\n### Bars\n")
    _print_row(["cost", "US dollars", "limit", "met"])
    _print_row(["---"] * 4)
    results = list(bars())
    for bar in results:
        _print_row([bar.what, f"{bar.usd:,.2f}", bar.limit, "yes" if bar.is_met else "NO"])
    return 0 if all(bar.is_met for bar in results) else 1


def bars() -> Iterator[Bar]:
    """Yield the costs that have a limit."""
    worth_it = rounds(1000, {})[:1]
    yield Bar("whether distilling is worth it, 1,000 photos", _usd(worth_it), 0, 1)
    for photos in (1000, 20_000):
        first = rounds(photos, {"grow": True})[:2]
        yield Bar(f"first verdict, {photos:,} photos with growth", _usd(first), 0, 5)
    yield Bar(
        "first verdict, 1,000 photos by default: 675 training images in one round", _usd(rounds(1000, {})), 0, inf
    )
    yield Bar(
        "20,000 photos without growth, 18,000 training images", _usd(rounds(20_000, _WITHOUT_GROWTH[20_000])), 0, 60
    )
    for photos, bill in _PUBLISHED_BILL.items():
        training = sum(line.usd.expected for line in article(photos)[0].lines if line.step == "TrainModels")
        what = f"training on {photos} photos in 5 epochs, published bill {format_cents(bill)} ± 20 %"
        yield Bar(what, training, 0.8 * bill, 1.2 * bill)


def article(photos: int) -> list[Round]:
    """Return the article's procedure: labels, one job, base on demand and the tuned model on provisioned throughput."""
    run = resolve_request("photos/", {**_ARTICLE_REQUEST, "train_sizes": [photos]}, "dev", "us-east-1")
    sets: dict[SetName, list[SplitLine]] = {
        "train": _images("train", photos),
        "validation": [],
        "test": _images("test", _ARTICLE_TEST_IMAGES),
    }
    (work,) = workload_of(run, sets, photos + _ARTICLE_TEST_IMAGES).rounds
    base = [asked for asked in work.predictions if asked.answerer == "base"]
    student = catalog.get_model(run.student)
    provisioned = CostLine("PredictTestImages", "provisioned throughput", exactly(1), student.price("provisioned"))
    return [Round("article", [*_lines(run, replace(work, predictions=base)), provisioned])]


def rounds(photos: int, fields: dict[str, Any]) -> list[Round]:
    """Return the rounds of a run on ``photos`` photos; ``fields`` are those of its request."""
    run = resolve_request("photos/", {"max_usd": 200, **fields}, "dev", "us-east-1")
    run = run.model_copy(update={"alternatives": [_OTHER_STUDENT]})
    workload: Workload = predict_workload(run, [_PHOTO] * photos, 0)
    return [Round(_name(work), _lines(run, work)) for work in workload.rounds]


def _name(work: RoundWork) -> str:
    return "baseline" if work.kind == "baseline" else "training on " + ", ".join(f"{size:,}" for size in work.sizes)


def _lines(run: Run, work: RoundWork) -> list[CostLine]:
    return merged(round_lines(run, work, RunTokens(run, {})))


def _images(name: SetName, count: int) -> list[SplitLine]:
    width, height = _PHOTO
    ids = (f"{name}-{number}" for number in range(count))
    return [SplitLine(image=id, group=id, photo=id, width=width, height=height, set=name) for id in ids]


def _usd(of_rounds: Iterable[Round]) -> float:
    return sum(round_.usd for round_ in of_rounds)


def _print_rounds(title: str, of_rounds: list[Round]) -> None:
    _print(f"\n### {title}: {format_cents(_usd(of_rounds))}\n")
    _print_row(["round", "line", "expected", "low", "high", "source of the price"])
    _print_row(["---"] * 6)
    for round_ in of_rounds:
        for line in round_.lines:
            usd, price = line.usd, line.price
            source = f"{price.source}, {price.date}{'' if price.confirmed else ' (not confirmed)'}"
            costs = [format_cents(value) for value in (usd.expected, usd.low, usd.high)]
            _print_row([round_.name, f"{line.step}: {line.what}", *costs, source])
        usd = total(round_.lines)
        _print_row(
            [
                round_.name,
                "**total**",
                *(f"**{format_cents(value)}**" for value in (usd.expected, usd.low, usd.high)),
                "",
            ]
        )


def _print_row(cells: list[str]) -> None:
    _print(f"| {' | '.join(cells)} |")


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
