"""``max_usd`` as a hard stop, however many batches are under way: reserve the most that a batch may cost, then ask.

A reservation is written before the total is listed, and S3 lists what was written before: of any number of batches at
once the last to write sees all others, so together they never pass the budget. What a batch paid settles its
reservation. One that died leaves it behind, and it goes on counting, for nobody knows what was paid. A job holds as a
batch does while it is created, and then, under its own name, until it has ended.
"""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field

from distillation import ledger
from distillation.errors import OverBudget, Throttled
from distillation.models import catalog
from distillation.records import Labeler, LedgerPart, Run, ServiceTier
from distillation.storage import Bucket

_HOW_TO_GO_ON = (
    "What was labelled is kept and paid for once: raise max_usd in distill.json (or take fewer photos) and start again"
)


@dataclass(frozen=True)
class Reservation:
    """At most ``usd`` of a run's budget, for one batch or job. ``id`` names it beside the ledger's parts.

    It is held only where ``headroom``, in US dollars, is left beside it for steps to come.
    """

    run: Run
    step: str
    usd: float
    data: Bucket
    headroom: float = 0.0
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _outcome: list[Exception | None] = field(default_factory=list)

    def reserve(self) -> None:
        """Reserve before the first dollar, once, however many threads come here.

        Raises ``OverBudget`` when the rest of the budget does not suffice, and ``Throttled`` when it may again once
        other batches have settled.
        """
        with self._lock:
            if not self._outcome:
                self._outcome.append(self._reserve())
        if problem := self._outcome[0]:
            raise problem

    def settle(self, part: LedgerPart) -> None:
        """Record what was paid, which takes the place of what was reserved."""
        ledger.record(self.data, self.run.name, part, self.id)

    def _reserve(self) -> Exception | None:
        mine = ledger.reserve(self.data, self.run.name, self.step, self.id, self.usd)
        paid, reserved = ledger.committed_usd(self.data, self.run.name)
        limit = self.run.request.max_usd
        later = f", and later steps may cost up to ${self.headroom:,.4f}" if self.headroom else ""
        why = f"{later}: together more than max_usd ${limit:,.2f}. {_HOW_TO_GO_ON}"
        if paid + mine + self.headroom > limit:
            return OverBudget(f"${paid:,.4f} are spent and the next step may cost up to ${mine:,.4f}{why}")
        if reserved > mine and paid + reserved + self.headroom > limit:
            held = f"${reserved:,.4f} are held by batches and jobs that have not settled"
            return Throttled(f"${paid:,.4f} are spent and {held}{why}")
        return None


def maximum_usd(run: Run, model: str, labeler: Labeler, images: int, tier: ServiceTier = "default") -> float:
    """Return the most that so many answers can cost: square images, two bytes of text a token, all of max_tokens."""
    family = catalog.get_model(model).family
    text = len((run.prompt.system + run.prompt.user).encode()) // 2
    image = family.image_tokens(run.side, run.side) * family.image_tokens_spread[1]
    return ledger.inference_usd(model, round((text + image) * images), labeler.max_tokens * images, tier)
