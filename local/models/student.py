"""The student: a frozen backbone, and a head that learns the teacher's keywords from a dataset.

Before training it answers with ImageNet names and hypernyms. Training fits kernel ridge regression from the features
to each keyword, by accelerated gradient descent on the dual. The fit starts from the frequency of each keyword.
A keyword that is also an ImageNet word is combined with the recognised classes, so a dozen images already help.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from local.models.network import CLASSES, SIDE
from local.models.vocabulary import imagenet_words

if TYPE_CHECKING:
    import cv2

PIXELS = 92
MINIMUM_KEYWORDS, MAXIMUM_KEYWORDS = 12, 25
RIDGE = 0.9
STEPS_PER_EPOCH = 100
KNOWN_WORD_WEIGHT = 0.7
"""Weight (0-1) of recognition against the fit, for a keyword that is also an ImageNet word."""
RECOGNITION_TRUST = 0.85
"""Probability of a keyword whose ImageNet class is recognised with certainty."""
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
_TOO_GENERAL = frozenset(
    (
        *("entity", "physical entity", "object", "whole", "organism"),
        *("living thing", "artifact", "instrumentality", "matter", "abstraction"),
        *("chordate", "placental", "vertebrate", "substance", "solid"),
        *("natural object", "causal agent", "part", "commodity", "psychological feature"),
    )
)


class Student:
    """Student with EfficientNet-Lite0 as its backbone; safe for use from several threads."""

    def __init__(self, network: cv2.dnn.Net) -> None:
        self._network, self._lock = network, threading.Lock()

    def features(self, image: Image.Image) -> np.ndarray:
        """Return float32 of shape (2548,): class logits, embedding, colours and layout."""
        rgb = image.convert("RGB")
        pixels = np.asarray(rgb.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32)
        batch = np.ascontiguousarray(((pixels - 127) / 128).transpose(2, 0, 1)[None])
        with self._lock:
            self._network.setInput(batch)
            logits, embedding = self._network.forward(["logits", "embedding"])
        return np.concatenate([logits[0], embedding[0], colours_and_layout(rgb)])

    def base_keywords(self, features: np.ndarray) -> list[str]:
        """Return the keywords before training: ImageNet names and hypernyms, two hues, brightness and orientation."""
        words, likelihood = recognised(features[None, :CLASSES])
        probabilities = _softmax(features[None, :CLASSES])[0]
        names = imagenet_words().names
        keywords = [names[index] for index in np.argsort(-probabilities)[:4]]
        general = [words[index] for index in np.argsort(-likelihood[0]) if words[index] not in names]
        keywords += [word for word in general if word not in _TOO_GENERAL][:7]
        pixels = features[-PIXELS:]
        keywords += [HUES[index] for index in np.argsort(-pixels[:12])[:2]]
        keywords += ["bright" if pixels[20:28] @ np.arange(8) > 4 else "dark"]
        keywords += ["horizontal" if pixels[-1] > 0.1 else "vertical", "photo"]
        return list(dict.fromkeys(keywords))


@dataclass(frozen=True)
class Head:
    """Result of training: for each keyword a weight for each training image."""

    vocabulary: list[str]
    """Keywords that the head can give."""
    examples: np.ndarray
    """Features of the training images, shape (images, 2548)."""
    weights: np.ndarray
    """Weights, shape (images, keywords)."""
    prior: np.ndarray
    """Probability of each keyword before an image is seen, shape (keywords,)."""
    losses: list[tuple[int, int, float]]
    """Step, epoch and mean squared error on the training images."""

    def keywords(self, features: np.ndarray) -> list[str]:
        """Return the keywords with the highest expected Jaccard index, for features of shape (2548,)."""
        probabilities = self.probabilities(features[None])[0]
        order = np.argsort(-probabilities, kind="stable")
        hits, count = np.cumsum(probabilities[order]), np.arange(1, len(order) + 1)
        expected = hits / (count + hits[-1] - hits)
        size = len(order)
        if size > MINIMUM_KEYWORDS:
            size = MINIMUM_KEYWORDS + int(np.argmax(expected[MINIMUM_KEYWORDS - 1 : MAXIMUM_KEYWORDS]))
        return [self.vocabulary[index] for index in order[:size]]

    def loss(self, features: np.ndarray, answers: list[list[str]]) -> float:
        """Return the mean squared error of the vocabulary on other images, for features of shape (images, 2548)."""
        target = np.array([[float(word in answer) for word in self.vocabulary] for answer in map(set, answers)])
        return float(np.square(self.probabilities(features) - target).mean())

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return the probability that the teacher gives each keyword, shape (images, keywords)."""
        fitted = self.prior + _kernel(features, self.examples) @ self.weights
        words, likelihood = recognised(features[:, :CLASSES])
        column = {word: index for index, word in enumerate(words)}
        for index, word in enumerate(self.vocabulary):
            if word in column:
                known = RECOGNITION_TRUST * likelihood[:, column[word]]
                fitted[:, index] = (1 - KNOWN_WORD_WEIGHT) * fitted[:, index] + KNOWN_WORD_WEIGHT * known
        # Rounded so that floating-point noise does not order keywords of equal probability.
        return np.clip(fitted, 1e-3, 0.999).round(6)


def fit(features: np.ndarray, answers: list[list[str]], epochs: int) -> Head:
    """Fit a head to features of shape (images, 2548) and their keyword lists; the result is deterministic.

    A keyword that occurs once is learnt only if it is an ImageNet word.
    """
    counts = Counter(word for answer in answers for word in set(answer))
    known = set(_known_words())
    vocabulary = sorted(word for word, count in counts.items() if count > 1 or word in known)
    column = {word: index for index, word in enumerate(vocabulary)}
    target = np.zeros((len(answers), len(vocabulary)))
    for row, answer in enumerate(answers):
        target[row, [column[word] for word in set(answer) if word in column]] = 1
    # Smoothed towards the mean frequency, because a dozen images are too few to estimate the frequency of a word.
    prior = (target.sum(0) + 0.3 * target.mean()) / (len(answers) + 0.6)
    examples = features.astype(np.float64)
    weights, losses = _descend(_kernel(examples, examples), target - prior, epochs)
    return Head(vocabulary, examples, weights, prior, losses)


def _descend(kernel: np.ndarray, residual: np.ndarray, epochs: int) -> tuple[np.ndarray, list[tuple[int, int, float]]]:
    """Solve (kernel + ridge) weights = residual by Nesterov's method; return the weights and the losses."""
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


def _kernel(features: np.ndarray, examples: np.ndarray) -> np.ndarray:
    """Return the similarity in embedding, colours and layout, and recognised classes, shape (images, examples)."""
    total = np.zeros((len(features), len(examples)))
    for first, second in (
        _standardised(features[:, CLASSES:-PIXELS], examples[:, CLASSES:-PIXELS], 0.05),
        _standardised(features[:, -PIXELS:], examples[:, -PIXELS:], 1e-3),
        _centred(recognised(features[:, :CLASSES])[1], recognised(examples[:, :CLASSES])[1]),
    ):
        # Without a network two of these are all zeros; the lower limit avoids dividing zero by zero.
        total += first @ second.T / max(np.square(second).sum(1).mean(), 1e-9)
    return total


def _standardised(features: np.ndarray, examples: np.ndarray, offset: float) -> tuple[np.ndarray, np.ndarray]:
    mean, spread = examples.mean(0), examples.std(0) + offset
    return np.clip((features - mean) / spread, -4, 4), np.clip((examples - mean) / spread, -4, 4)


def _centred(probabilities: np.ndarray, examples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    probabilities, examples = np.sqrt(probabilities), np.sqrt(examples)
    return probabilities - examples.mean(0), examples - examples.mean(0)


def recognised(logits: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return the ImageNet words, and the summed probability of the classes of each word, shape (images, words)."""
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
    """Return 92 numbers: hues, saturation, brightness, a 3 x 3 grid of colours, edges and aspect ratio."""
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
