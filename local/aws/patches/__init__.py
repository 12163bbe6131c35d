"""Patches for ministack, where it differs from AWS in something that the pipeline needs.

Each patch names the difference and the shape of the code that it replaces. ``apply`` refuses a version of ministack
whose code has another shape: an upgrade fails at the start, not in the middle of a run.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any, NamedTuple

TESTED_VERSION = "1.5.33"

_applied = threading.Event()


class PatchPointMoved(RuntimeError):
    """The installed ministack does not have the code that a patch replaces."""


class Patch(NamedTuple):
    """A replacement of one attribute of a ministack module or class."""

    reason: str
    """Behaviour of AWS that ministack lacks."""
    owner: Any
    """Module or class that has the attribute."""
    attribute: str
    shape: tuple[str, ...]
    """Parameter names of a function, or substrings of a text."""
    replace: Callable[[Any], Any]
    """Function that takes the original and returns its replacement."""


def apply_all() -> None:
    """Apply the patches of all services, once per process; raise PatchPointMoved if one does not fit."""
    # Imported here because ministack reads its settings from the environment, which the emulator sets first.
    from local.aws.patches import access, cloudformation, events, lambda_, router, s3, states, states_language

    if not _applied.is_set():
        modules = (access, cloudformation, events, lambda_, router, s3, states, states_language)
        apply([patch for module in modules for patch in module.PATCHES])
        _applied.set()


def apply(patches: Sequence[Patch]) -> None:
    """Check the shape of every patch point, then replace all; raise PatchPointMoved and change nothing otherwise."""
    for patch in patches:
        if not _has_shape(getattr(patch.owner, patch.attribute, None), patch.shape):
            raise PatchPointMoved(
                f"ministack {metadata.version('ministack')} has no {patch.owner.__name__}.{patch.attribute} with "
                f"{', '.join(patch.shape)}, which the patch for '{patch.reason}' replaces. Install ministack "
                f"{TESTED_VERSION}, or adapt the patch in local/aws/patches."
            )
    for patch in patches:
        setattr(patch.owner, patch.attribute, patch.replace(getattr(patch.owner, patch.attribute)))


def _has_shape(original: Any, shape: tuple[str, ...]) -> bool:
    if isinstance(original, str):
        return all(piece in original for piece in shape)
    return callable(original) and tuple(inspect.signature(original).parameters) == shape
