"""The student: frozen eyes, and a head that learns from the dataset which keywords the teacher would give.

Untrained it answers with what it knows of its own, the names and hypernyms of ImageNet. Training fits kernel
ridge regression from what it sees to each keyword, by accelerated gradient descent on the dual, starting from
how often the teacher gave the keyword; keywords that it has a name for also draw on what it recognises. That
needs few examples: a dozen images already teach it something.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from local.models.vocabulary import imagenet_words

if TYPE_CHECKING:
    import cv2

CLASSES = 1000
EMBEDDING = 1456
PIXELS = 92
FEATURES = CLASSES + EMBEDDING + PIXELS
FEWEST, MOST = 12, 25
RIDGE = 0.9
STEPS_PER_EPOCH = 100
# How much a keyword that is also a name in ImageNet follows recognition rather than the fit.
KNOWN_WORD_WEIGHT = 0.7
RECOGNITION_TRUST = 0.85
HUES = (
    "red",
    "orange",
    "yellow",
    "green",
    "green",
    "teal",
    "blue",
    "blue",
    "purple",
    "purple",
    "pink",
    "red",
)
# Too general to be said about a photo.
_UNSAID = frozenset(
    (
        *("entity", "physical entity", "object", "whole", "organism"),
        *("living thing", "artifact", "instrumentality", "matter", "abstraction"),
        *("chordate", "placental", "vertebrate", "substance", "solid"),
        *("natural object", "causal agent", "part", "commodity", "psychological feature"),
    )
)


class Student:
    """Sees with EfficientNet-Lite0 and measures colours and layout; may be asked from several threads."""

    def __init__(self, network: cv2.dnn.Net) -> None:
        self._network, self._lock = network, threading.Lock()

    def features(self, image: Image.Image) -> np.ndarray:
        """Return what it sees, float32 of shape (2548,): class logits, embedding, colours and layout."""
        rgb = image.convert("RGB")
        pixels = np.asarray(rgb.resize((224, 224), Image.Resampling.BICUBIC), np.float32)
        batch = np.ascontiguousarray(((pixels - 127) / 128).transpose(2, 0, 1)[None])
        with self._lock:
            self._network.setInput(batch)
            logits, embedding = self._network.forward(["logits", "embedding"])
        return np.concatenate([logits[0], embedding[0], colours_and_layout(rgb)])

    def base_keywords(self, features: np.ndarray) -> list[str]:
        """Answer untrained: ImageNet names and hypernyms, two hues, brightness and format."""
        words, likelihood = recognised(features[None, :CLASSES])
        probabilities = _softmax(features[None, :CLASSES])[0]
        names = imagenet_words().names
        said = [names[index] for index in np.argsort(-probabilities)[:4]]
        general = [words[index] for index in np.argsort(-likelihood[0]) if words[index] not in names]
        said += [word for word in general if word not in _UNSAID][:7]
        pixels = features[-PIXELS:]
        said += [HUES[index] for index in np.argsort(-pixels[:12])[:2]]
        said += ["bright" if pixels[20:28] @ np.arange(8) > 4 else "dark"]
        said += ["horizontal" if pixels[-1] > 0.1 else "vertical", "photo"]
        return list(dict.fromkeys(said))

    def train(self, features: np.ndarray, answers: list[list[str]], epochs: int, seed: int) -> Head:
        """Fit a head; ``features`` is (n, 2548), ``answers`` the n keyword lists. Nothing is random."""
        return fit(features, answers, epochs)


@dataclass(frozen=True)
class Head:
    """What training adds: for each keyword a weight for each training image."""

    vocabulary: list[str]
    examples: np.ndarray
    weights: np.ndarray
    prior: np.ndarray
    losses: list[tuple[int, int, float]]
    """Step, epoch and mean squared error over the training images."""

    def keywords(self, features: np.ndarray) -> list[str]:
        """Return the set of keywords with the highest expected Jaccard index."""
        probabilities = self.probabilities(features[None])[0]
        order = np.argsort(-probabilities, kind="stable")
        hits, count = np.cumsum(probabilities[order]), np.arange(1, len(order) + 1)
        expected = hits / (count + hits[-1] - hits)
        size = FEWEST + int(np.argmax(expected[FEWEST - 1 : MOST])) if len(order) > FEWEST else len(order)
        return [self.vocabulary[index] for index in order[:size]]

    def loss(self, features: np.ndarray, answers: list[list[str]]) -> float:
        """Return the mean squared error over other images, (n, 2548), of the keywords that it knows."""
        said = [set(answer) for answer in answers]
        target = np.array([[float(word in words) for word in self.vocabulary] for words in said])
        return float(np.square(self.probabilities(features) - target).mean())

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return (n, keywords): how likely the teacher gives each keyword."""
        fitted = self.prior + _kernel(features, self.examples) @ self.weights
        words, likelihood = recognised(features[:, :CLASSES])
        column = {word: index for index, word in enumerate(words)}
        for index, word in enumerate(self.vocabulary):
            if word in column:
                seen = RECOGNITION_TRUST * likelihood[:, column[word]]
                fitted[:, index] = (1 - KNOWN_WORD_WEIGHT) * fitted[:, index] + KNOWN_WORD_WEIGHT * seen
        # Rounded, so that the last bits of a sum do not decide between keywords that are equally likely.
        return np.clip(fitted, 1e-3, 0.999).round(6)


def fit(features: np.ndarray, answers: list[list[str]], epochs: int) -> Head:
    """Fit a head to answers; keywords given once are learnt only if the student has a name for them."""
    counts = Counter(word for answer in answers for word in set(answer))
    known = set(_known_words())
    vocabulary = sorted(word for word, count in counts.items() if count > 1 or word in known)
    column = {word: index for index, word in enumerate(vocabulary)}
    target = np.zeros((len(answers), len(vocabulary)))
    for row, answer in enumerate(answers):
        target[row, [column[word] for word in set(answer) if word in column]] = 1
    # Pulled towards the mean keyword, for a dozen images say little about how common a word is.
    prior = (target.sum(0) + 0.3 * target.mean()) / (len(answers) + 0.6)
    examples = features.astype(np.float64)
    weights, losses = _descend(_kernel(examples, examples), target - prior, epochs)
    return Head(vocabulary, examples, weights, prior, losses)


def _descend(kernel: np.ndarray, residual: np.ndarray, epochs: int) -> tuple[np.ndarray, list[tuple[int, int, float]]]:
    """Solve (kernel + ridge) weights = residual by Nesterov's method; return weights and losses."""
    system = kernel + RIDGE * np.eye(len(kernel))
    rate = 1 / np.linalg.eigvalsh(system)[-1]
    weights = ahead = np.zeros_like(residual)
    losses = []
    for step in range(1, epochs * STEPS_PER_EPOCH + 1):
        following = ahead - rate * (system @ ahead - residual)
        ahead = following + (step - 1) / (step + 2) * (following - weights)
        weights = following
        loss = float(np.square(kernel @ weights - residual).mean())
        losses.append((step, (step - 1) // STEPS_PER_EPOCH, loss))
    return weights, losses


def _kernel(one: np.ndarray, examples: np.ndarray) -> np.ndarray:
    """Return (n, examples): likeness in embedding, in colours and layout, and in what is recognised."""
    total = np.zeros((len(one), len(examples)))
    for first, second in (
        _standardised(one[:, CLASSES:-PIXELS], examples[:, CLASSES:-PIXELS], 0.05),
        _standardised(one[:, -PIXELS:], examples[:, -PIXELS:], 1e-3),
        _centred(recognised(one[:, :CLASSES])[1], recognised(examples[:, :CLASSES])[1]),
    ):
        # A student without a network sees nothing in two of these, and nothing divided by nothing is not 0.
        total += first @ second.T / max(np.square(second).sum(1).mean(), 1e-9)
    return total


def _standardised(one: np.ndarray, examples: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    mean, spread = examples.mean(0), examples.std(0) + least
    return np.clip((one - mean) / spread, -4, 4), np.clip((examples - mean) / spread, -4, 4)


def _centred(one: np.ndarray, examples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    one, examples = np.sqrt(one), np.sqrt(examples)
    return one - examples.mean(0), examples - examples.mean(0)


def recognised(logits: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return ImageNet's words, and (n, words): the summed probability of the classes each covers."""
    words = _known_words()
    return words, _softmax(logits) @ _membership()


@cache
def _known_words() -> list[str]:
    table = imagenet_words()
    return sorted({*table.names, *(word for hypernyms in table.hypernyms for word in hypernyms)})


@cache
def _membership() -> np.ndarray:
    return imagenet_words().membership(_known_words())


def _softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


def colours_and_layout(image: Image.Image) -> np.ndarray:
    """Return 92 numbers: hues, saturation, brightness, a 3 x 3 grid of colours, edges and format."""
    hsv = np.asarray(image.convert("HSV").resize((48, 48)), np.float32) / 255
    grey = np.asarray(image.convert("L").resize((48, 48)), np.float32) / 255
    hue, saturation, value = hsv[..., 0], hsv[..., 1], hsv[..., 2]
    numbers = [
        *(np.histogram(hue, 12, (0, 1), weights=saturation * value)[0] / hue.size),
        *(np.histogram(saturation, 8, (0, 1))[0] / hue.size),
        *(np.histogram(value, 8, (0, 1))[0] / hue.size),
    ]
    for row in range(0, 48, 16):
        for column in range(0, 48, 16):
            cell = hsv[row : row + 16, column : column + 16].reshape(-1, 3)
            numbers += [*cell.mean(0), *cell.std(0)]
    vertical, horizontal = np.gradient(grey)
    edges, aspect = np.hypot(horizontal, vertical), image.width / image.height
    numbers += [np.abs(horizontal).mean(), np.abs(vertical).mean(), edges.mean(), edges.std()]
    numbers += [edges[16:32, 16:32].mean(), (edges < 0.02).mean(), grey.std()]
    numbers += [np.abs(grey - grey[:, ::-1]).mean(), aspect, np.log(aspect)]
    return np.asarray(numbers, np.float32)
