"""The student: a frozen backbone, and a head that learns the teacher's keywords from a dataset.

Before training it answers with ImageNet names and hypernyms. Training fits kernel ridge regression from the features
to each keyword, by accelerated gradient descent on the dual. The fit starts from the frequency of each keyword.
A keyword that is also an ImageNet word is combined with the recognised classes, so a dozen images already help.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from local.models.answer_forms import Recognition, confidences_of, with_article
from local.models.network import CLASSES, SIDE
from local.models.vocabulary import TOO_GENERAL, imagenet_words

if TYPE_CHECKING:
    import cv2

PIXELS = 92
MINIMUM_KEYWORDS, MAXIMUM_KEYWORDS = 12, 25
RIDGE = 0.9
STEPS_PER_EPOCH = 100
KNOWN_WORD_WEIGHT = 0.7
"""``Head.known_word_weight`` of a student whose recognition explains the training labels."""
RECOGNISED_KEYWORD_PROBABILITY = 0.85
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

    def recognise(self, features: np.ndarray) -> Recognition:
        """Return what the student sees before training."""
        words, likelihood = recognised(features[None, :CLASSES])
        confidences = zip(words, likelihood[0].tolist(), strict=True)
        specific = [(word, confidence) for word, confidence in confidences if word not in TOO_GENERAL]
        return untrained_recognition(self._keywords(features), specific)

    def _keywords(self, features: np.ndarray) -> list[str]:
        """Return ImageNet names and hypernyms, two hues, brightness and orientation."""
        words, likelihood = recognised(features[None, :CLASSES])
        probabilities = _softmax(features[None, :CLASSES])[0]
        names = imagenet_words().names
        keywords = [names[index] for index in np.argsort(-probabilities)[:4]]
        general = [words[index] for index in np.argsort(-likelihood[0]) if words[index] not in names]
        keywords += [word for word in general if word not in TOO_GENERAL][:7]
        pixels = features[-PIXELS:]
        keywords += [HUES[index] for index in np.argsort(-pixels[:12])[:2]]
        keywords += ["bright" if pixels[20:28] @ np.arange(8) > 4 else "dark"]
        keywords += ["horizontal" if pixels[-1] > 0.1 else "vertical", "photo"]
        return list(dict.fromkeys(keywords))


def untrained_recognition(keywords: list[str], confidences: list[tuple[str, float]]) -> Recognition:
    """Return what an untrained student sees; it counts nothing, and its sentences are not those of the teacher."""
    first, second, *others = [*keywords, "photo", "picture"]
    return Recognition(
        keywords=keywords,
        confidences=confidences_of(confidences),
        subject=first,
        counts={},
        threshold=0.0,
        sentence=(f"This is a photo of {with_article(first)},", f"or {with_article(second)},", ", ".join(others)),
        paragraph=tuple(f"There is {with_article(word)} in this picture." for word in keywords),
    )


@dataclass(frozen=True)
class FeatureMap:
    """Map to vectors whose dot product is the similarity of two images, scaled by the training images.

    The similarity is the sum of three: embedding, colours and layout, and recognised classes.
    """

    means: tuple[np.ndarray, ...]
    """Mean of each of the three kinds of features."""
    spreads: tuple[np.ndarray | float, ...]
    """Divisor of each kind. Classes are not standardised."""
    lengths: tuple[float, ...]
    """Root mean square length of the training images' vectors, for each kind."""

    @classmethod
    def of(cls, examples: np.ndarray) -> FeatureMap:
        """Return the map for training images, from their features of shape (images, 2548)."""
        kinds = _kinds(examples)
        means = tuple(kind.mean(0) for kind in kinds)
        spreads = kinds[0].std(0) + 0.05, kinds[1].std(0) + 1e-3, 1.0
        vectors = cls(means, spreads, (1.0, 1.0, 1.0)).kinds_of_vectors(examples)
        # Without a network two of these are all zeros; the lower limit avoids dividing zero by zero.
        lengths = tuple(float(np.sqrt(max(np.square(kind).sum(1).mean(), 1e-9))) for kind in vectors)
        return cls(means, spreads, lengths)

    def vectors(self, features: np.ndarray) -> np.ndarray:
        """Return the vectors of images from their features, shape (images, dimensions)."""
        return np.concatenate(self.kinds_of_vectors(features), axis=1)

    def kinds_of_vectors(self, features: np.ndarray) -> list[np.ndarray]:
        """Return the three parts of the vectors of images."""
        parts = zip(_kinds(features), self.means, self.spreads, strict=True)
        scaled = [(kind - mean) / spread for kind, mean, spread in parts]
        clipped = [np.clip(scaled[0], -4, 4), np.clip(scaled[1], -4, 4), scaled[2]]
        return [kind / length for kind, length in zip(clipped, self.lengths, strict=True)]


def _kinds(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return embedding, colours and layout, and square roots of the probabilities of the ImageNet words."""
    return features[:, CLASSES:-PIXELS], features[:, -PIXELS:], np.sqrt(recognised(features[:, :CLASSES])[1])


@dataclass(frozen=True)
class Head:
    """Result of training. Its size and answer time do not depend on the number of training images."""

    vocabulary: list[str]
    """Keywords that the head can give."""
    feature_map: FeatureMap
    """Map from the features of an image to its vector."""
    weights: np.ndarray
    """Weights, shape (dimensions of a vector, keywords)."""
    prior: np.ndarray
    """Probability of each keyword before an image is seen, shape (keywords,)."""
    losses: list[tuple[int, int, float]]
    """Step, epoch and mean squared error on the training images."""
    known_word_weight: float = 0.0
    """Weight (0-1) of recognition against the fit, for a keyword that is also an ImageNet word."""

    def keywords(self, features: np.ndarray) -> list[str]:
        """Return the keywords with the highest expected Jaccard index, for features of shape (2548,)."""
        probabilities = self.probabilities(features[None])[0]
        return [self.vocabulary[index] for index in likeliest_set(probabilities, MINIMUM_KEYWORDS, MAXIMUM_KEYWORDS)]

    def loss(self, features: np.ndarray, answers: list[list[str]]) -> float:
        """Return the mean squared error of the vocabulary on other images, for features of shape (images, 2548)."""
        target = np.array([[float(word in answer) for word in self.vocabulary] for answer in map(set, answers)])
        return float(np.square(self.probabilities(features) - target).mean())

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return the probability that the teacher gives each keyword, shape (images, keywords)."""
        fitted = self.prior + self.feature_map.vectors(features) @ self.weights
        known, likelihood = self.recognised_keywords(features)
        weight = self.known_word_weight
        fitted[:, known] = (1 - weight) * fitted[:, known] + weight * likelihood
        # Rounded so that floating-point noise does not order keywords of equal probability.
        return np.clip(fitted, 1e-3, 0.999).round(6)

    def recognised_keywords(self, features: np.ndarray) -> tuple[list[int], np.ndarray]:
        """Return the positions of the known keywords, and their probability by recognition, shape (images, known)."""
        known, columns = self._known_keywords
        return known, RECOGNISED_KEYWORD_PROBABILITY * recognised(features[:, :CLASSES])[1][:, columns]

    @cached_property
    def _known_keywords(self) -> tuple[list[int], list[int]]:
        """Positions of the keywords that are ImageNet words, in the vocabulary and among the ImageNet words."""
        column = {word: index for index, word in enumerate(_known_words())}
        known = [index for index, word in enumerate(self.vocabulary) if word in column]
        return known, [column[self.vocabulary[index]] for index in known]


def likeliest_set(probabilities: np.ndarray, minimum: int, maximum: int) -> np.ndarray:
    """Return the positions whose set has the highest expected Jaccard index, from the most to the least probable.

    The set has ``minimum`` (at least 1) to ``maximum`` positions, or all if they are fewer.
    """
    order = np.argsort(-probabilities, kind="stable")
    hits, count = np.cumsum(probabilities[order]), np.arange(1, len(order) + 1)
    if len(order) <= minimum:
        return order
    expected = hits / (count + hits[-1] - hits)
    return order[: minimum + int(np.argmax(expected[minimum - 1 : maximum]))]


def fit(features: np.ndarray, answers: list[list[str]], epochs: int, minimum_count: int = 2) -> Head:
    """Fit a head to features of shape (images, 2548) and the items of their answers; the result is deterministic.

    An item that occurs less than ``minimum_count`` times is learnt only if it is an ImageNet word.
    """
    counts = Counter(word for answer in answers for word in set(answer))
    known = set(_known_words())
    vocabulary = sorted(word for word, count in counts.items() if count >= minimum_count or word in known)
    column = {word: index for index, word in enumerate(vocabulary)}
    target = np.zeros((len(answers), len(vocabulary)))
    for row, answer in enumerate(answers):
        target[row, [column[word] for word in set(answer) if word in column]] = 1
    # Smoothed towards the mean frequency, because a dozen images are too few to estimate the frequency of a word.
    prior = (target.sum(0) + 0.3 * target.mean()) / (len(answers) + 0.6)
    examples = features.astype(np.float64)
    feature_map = FeatureMap.of(examples)
    vectors = feature_map.vectors(examples)
    weights, losses = _descend(vectors @ vectors.T, target - prior, epochs)
    # The weights of the images become weights of the dimensions, so that an answer does not go through the images.
    head = Head(vocabulary, feature_map, vectors.T @ weights, prior, losses)
    return replace(head, known_word_weight=_known_word_weight(head, examples, target))


def _known_word_weight(head: Head, examples: np.ndarray, target: np.ndarray) -> float:
    """Return ``KNOWN_WORD_WEIGHT`` if recognition explains the training labels better than their frequency, else 0.

    Otherwise a student that was trained on labels of other images would still name what it recognises.
    """
    known, likelihood = head.recognised_keywords(examples)
    prior, labels = head.prior[known], target[:, known]
    mixed = (1 - KNOWN_WORD_WEIGHT) * prior + KNOWN_WORD_WEIGHT * likelihood
    return KNOWN_WORD_WEIGHT if np.square(mixed - labels).sum() < np.square(prior - labels).sum() else 0.0


def _descend(kernel: np.ndarray, residual: np.ndarray, epochs: int) -> tuple[np.ndarray, list[tuple[int, int, float]]]:
    """Solve (kernel + ridge) weights = residual by Nesterov's method; return the weights and the losses.

    The steps are taken in the basis of the kernel's eigenvectors, where they multiply no matrices.
    """
    eigenvalues, basis = np.linalg.eigh(kernel)
    scale, target = eigenvalues[:, None], basis.T @ residual
    rate = 1 / (eigenvalues[-1] + RIDGE)
    weights = ahead = np.zeros_like(target)
    losses = []
    for step in range(1, epochs * STEPS_PER_EPOCH + 1):
        following = ahead - rate * ((scale + RIDGE) * ahead - target)
        ahead = following + (step - 1) / (step + 2) * (following - weights)
        weights = following
        loss = float(np.square(scale * weights - target).mean())
        losses.append((step, (step - 1) // STEPS_PER_EPOCH, loss))
    return basis @ weights, losses


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
