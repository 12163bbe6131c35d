"""The student: EfficientNet-Lite0 (frozen), its own ImageNet words, its own look at the pixels, and a head that is trained.

It knows nothing of how the teacher works. Its features are one float32 vector: 1000 logits, the 1456 numbers of the
embedding, and ``appearance``.
"""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from local.models import head
from local.models.appearance import appearance, appearance_names
from local.models.head import Inputs, TrainedHead
from local.models.network import EMBEDDING, LOGITS, SIDE, load_network
from local.models.vocabulary import imagenet_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

IDENTITY = "local.student-efficientnet-v1:0"
BASE_NAMES = 4
BASE_KINDS = 7


class Student:
    """Loads its network at the first photo; ``cache`` keeps the converted weights. May be asked from several threads."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._lock = threading.Lock()

    def features(self, image: Image.Image) -> np.ndarray:
        """Look at a photo; raise WeightsMissing when the network is not installed."""
        rgb = image.convert("RGB")
        pixels = np.asarray(rgb.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32)
        blob = np.ascontiguousarray((pixels - 127).transpose(2, 0, 1)[None] / 128)
        # The network holds one input: concurrent callers would read each other's answers.
        with self._lock:
            self._network.setInput(blob)
            logits, embedding = (output[0].copy() for output in self._network.forward(["logits", "embedding"]))
        return np.concatenate([logits, embedding, appearance(rgb)]).astype(np.float32)

    def base_keywords(self, features: np.ndarray) -> list[str]:
        """Answer without any training."""
        return base_keywords(features)

    def train(
        self, features: np.ndarray, labels: Sequence[Sequence[str]], *, epochs: int = 40, seed: int = 0
    ) -> TrainedHead:
        """Train a head; see ``train``."""
        return train(features, labels, epochs=epochs, seed=seed)

    def load(self, file: Path) -> TrainedHead:
        """Read a head that was saved."""
        return TrainedHead.load(file, ImageNetPerception())

    @cached_property
    def _network(self):
        return load_network(self._cache)


def base_keywords(features: np.ndarray) -> list[str]:
    """Return what the untrained student says of features (F,): likely ImageNet names and kinds, light and format."""
    probabilities = probabilities_of(features[None, :LOGITS])[0]
    words = imagenet_words()
    kinds, membership = words.kinds()
    by_name, by_kind = (
        np.argsort(-probabilities, kind="stable"),
        np.argsort(-(probabilities @ membership), kind="stable"),
    )
    seen = dict(zip(appearance_names(), features[LOGITS + EMBEDDING :].tolist(), strict=True))
    answer = [
        *(words.names[index] for index in by_name[:BASE_NAMES]),
        *(kinds[index] for index in by_kind[:BASE_KINDS]),
        "bright" if seen["brightness"] > 0.5 else "dark",
        "colourful" if seen["saturation"] > 0.3 else "colourless",
        "wide" if seen["aspect"] > 0 else "tall",
        "photo",
    ]
    return list(dict.fromkeys(answer))


def train(
    features: np.ndarray,
    labels: Sequence[Sequence[str]],
    *,
    epochs: int = 40,
    seed: int = 0,
    learning_rate: float = 0.03,
) -> TrainedHead:
    """Train on features (N, F) and the keywords of each photo; raise ValueError when they do not match."""
    return head.train(ImageNetPerception(), features, labels, epochs=epochs, seed=seed, learning_rate=learning_rate)


def probabilities_of(logits: np.ndarray) -> np.ndarray:
    """Return the softmax over the last axis."""
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


class ImageNetPerception:
    """What Lite0 brings along: names, kinds of things (WordNet) and an embedding; and what the pixels show."""

    identity = IDENTITY

    @property
    def kinds(self) -> tuple[str, ...]:
        return imagenet_words().kinds()[0]

    @property
    def names(self) -> tuple[str, ...]:
        return imagenet_words().own_names()[0]

    def inputs(self, features: np.ndarray) -> Inputs:
        """Read features of shape (N, 1000 + 1456 + appearance)."""
        probabilities = probabilities_of(features[:, :LOGITS].astype(np.float64))
        of_kinds = probabilities @ imagenet_words().kinds()[1]
        of_names = probabilities @ imagenet_words().own_names()[1]
        likelihood = np.clip(np.concatenate([of_kinds, of_names], axis=1), 1e-5, 1 - 1e-5)
        embedding, pixels = features[:, LOGITS : LOGITS + EMBEDDING], features[:, LOGITS + EMBEDDING :]
        kinds = np.sqrt(of_kinds)
        frequent = (of_kinds > 0.2).sum(0) >= 2
        return Inputs(
            values=np.concatenate([embedding, kinds, pixels], axis=1),
            blocks=((EMBEDDING, 0.3), (kinds.shape[1], 0.3), (pixels.shape[1], 0.4)),
            single=np.concatenate([np.zeros(EMBEDDING, bool), frequent, np.ones(pixels.shape[1], bool)]),
            recognised=np.log(likelihood / (1 - likelihood)),
        )
