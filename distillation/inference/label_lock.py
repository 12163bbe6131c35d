"""Locks that keep two runs from paying for the same answer at the same time."""

from __future__ import annotations

from collections.abc import Callable

from distillation import keys
from distillation.errors import ObjectDamaged
from distillation.records import Answer, Record
from distillation.storage import Bucket
from distillation.telemetry import logger

LIFETIME_SECONDS = 300
"""Lock lifetime in seconds. After it another run may take over the lock, because its holder has probably crashed."""
_CLOCK_SECONDS = 60
"""Largest difference between the clocks of two functions, in seconds."""


class Lock(Record):
    """``work/locks/<answer key>``: the run that holds the lock on an answer."""

    run: str
    """Name of the run."""
    until: float
    """Time at which the lock expires, in seconds since 1970."""


def find_answer(key: str, image: str, data: Bucket) -> Answer | None:
    """Return the stored answer about an image.

    None if there is none, or if it is damaged or about another image: then the model is asked again.
    """
    answer = data.find_intact(key, Answer)
    if answer is not None and answer.image != image:
        logger.warning("stored answer is about another image", key=key, image=answer.image)
        return None
    return answer


class LabelLock:
    """A lock on one answer, held by a run.

    The lock is an S3 object that is created with If-None-Match. It protects against other runs only: a batch that is
    tried again acquires the locks that its own run left behind.
    """

    def __init__(self, data: Bucket, answer_key: str, image: str, run: str, now: Callable[[], float]) -> None:
        """Prepare a lock on the answer about an image, which is or will be stored under ``answer_key``.

        ``now`` returns the time in seconds.
        """
        self._data, self._answer_key, self._image, self._run, self._now = data, answer_key, image, run, now
        self._key = keys.lock_key(answer_key)
        self._expires = 0.0

    def acquire(self) -> bool:
        """Acquire the lock, and return whether the run has to ask for the answer.

        False means that another run holds the lock, or that its answer has been stored in the meantime.
        """
        self._expires = self._now() + LIFETIME_SECONDS
        if self._data.put_if_absent(self._key, self._lock().model_dump_json().encode()):
            return True
        try:
            lock = self._data.find_document(self._key, Lock)
        except ObjectDamaged as error:
            logger.warning("damaged lock taken over", run=self._run, error=str(error))
        else:
            if lock is None:  # Another run is creating the lock at this moment.
                return False
            # A lock that expires later than any run can have asked for is damaged.
            if lock.run != self._run and self._now() < lock.until <= self._now() + LIFETIME_SECONDS + _CLOCK_SECONDS:
                return False
        self._data.write_document(self._key, self._lock())
        return find_answer(self._answer_key, self._image, self._data) is None

    def extend(self) -> None:
        """Start a new lifetime if more than half of the current one has passed."""
        if self._now() > self._expires - LIFETIME_SECONDS / 2:
            self._expires = self._now() + LIFETIME_SECONDS
            self._data.write_document(self._key, self._lock())

    def release(self) -> None:
        """Release the lock after a failed call. No release is needed once the answer is stored."""
        # The lock is overwritten, not deleted: the steps have no permission to delete objects.
        self._expires = 0.0
        self._data.write_document(self._key, self._lock())

    def _lock(self) -> Lock:
        return Lock(run=self._run, until=self._expires)
