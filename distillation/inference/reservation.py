"""Reservations of budget, which make ``max_usd`` a hard limit for batches and jobs that run at the same time.

A batch reserves its maximum cost before its first call, and settles the reservation with its actual cost. It writes
the reservation before it lists the total. S3 listings are strongly consistent, so of several batches the last one to
write sees all others, and together they cannot exceed the budget.

The reservation of a batch that crashed keeps counting, because its cost is unknown. A job has a reservation while it
is created, and then one under its own name until it ends.
"""

from __future__ import annotations

import threading
import uuid

from distillation import ledger
from distillation.errors import LABELS_ARE_REUSED, OverBudget, Throttled
from distillation.models import catalog
from distillation.models.service_tier import dearest_tier
from distillation.records import Labeler, LedgerPart, Prompt, RequestedTier, Run
from distillation.storage import Bucket

_REMEDY = f"Raise max_usd in distill.json, or use fewer photos, and start again. {LABELS_ARE_REUSED}"


class Reservation:
    """A part of a run's budget that is reserved for one batch or job."""

    def __init__(self, run: Run, step: str, usd: float, data: Bucket, headroom_usd: float = 0.0) -> None:
        """Prepare a reservation of ``usd`` US dollars for ``step``, without making it.

        ``headroom_usd`` is the amount that must remain in the budget for later steps.
        """
        self.id = uuid.uuid4().hex
        self._run, self._step, self._usd, self._data, self._headroom_usd = run, step, usd, data, headroom_usd
        self._lock = threading.Lock()
        self._is_decided = False
        self._error: Exception | None = None

    def reserve(self) -> None:
        """Make the reservation. Only the first call reserves; later calls, from any thread, have the same outcome.

        Raises ``OverBudget`` if the rest of the budget is too small. Raises ``Throttled`` if it may become large
        enough when other batches settle their reservations.
        """
        with self._lock:
            if not self._is_decided:
                self._error = self._try_to_reserve()
                self._is_decided = True
        if self._error:
            raise self._error

    def settle(self, part: LedgerPart, *others: LedgerPart) -> None:
        """Write the actual cost to the ledger, one part per service tier, which replaces the reserved amount."""
        for other in others:
            ledger.write_part(self._run.name, other, uuid.uuid4().hex, self._data)
        # The part with the reservation's id releases the reservation, so it is written last.
        ledger.write_part(self._run.name, part, self.id, self._data)

    def _try_to_reserve(self) -> Exception | None:
        own_usd = ledger.reserve(self._run.name, self._step, self.id, self._usd, self._data)
        paid_usd, reserved_usd = ledger.paid_and_reserved_usd(self._run.name, self._data)
        max_usd = self._run.request.max_usd
        headroom = f", and later steps may cost up to ${self._headroom_usd:,.4f}" if self._headroom_usd else ""
        reason = f"{headroom}: together more than max_usd ${max_usd:,.2f}. {_REMEDY}"
        if paid_usd + own_usd + self._headroom_usd > max_usd:
            return OverBudget(f"${paid_usd:,.4f} are spent and the next step may cost up to ${own_usd:,.4f}{reason}")
        if reserved_usd > own_usd and paid_usd + reserved_usd + self._headroom_usd > max_usd:
            return Throttled(
                f"${paid_usd:,.4f} are spent and ${reserved_usd:,.4f} are reserved by batches and jobs "
                f"that have not settled{reason}"
            )
        return None


def maximum_usd(
    run: Run, model: str, labeler: Labeler, images: int, tier: RequestedTier = "default", prompt: Prompt | None = None
) -> float:
    """Return the maximum cost of one answer about each of ``images`` images, in US dollars.

    ``prompt`` is by default the one that the run asks the model with. The maximum assumes square images, two bytes of
    prompt per token, and answers of ``max_tokens`` tokens. With ``auto`` all answers may come from the standard tier.
    """
    family = catalog.get_model(model).family
    prompt = prompt or run.prompt_of(model)
    prompt_tokens = len((prompt.system + prompt.user).encode()) // 2
    image_tokens = family.image_tokens(run.image_side, run.image_side) * family.image_tokens_spread[1]
    input_tokens = round((prompt_tokens + image_tokens) * images)
    return ledger.inference_usd(model, input_tokens, labeler.max_tokens * images, dearest_tier(tier))
