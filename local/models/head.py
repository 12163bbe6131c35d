"""The part of a student that is trained: from a few photos and their keywords to keywords for a new photo.

About thirty examples are far too few to fit a network, so what can be computed is computed and only the rest is trained.

1. Evidence. Per keyword, a ridge regression over all inputs, averaged with regressions on single inputs, each of which
   counts as much as its leave-one-out error says. ("brown" depends on one number, "landmark" on many.)
2. Recognition. What the student can already name by itself, with the probability it gives to that name.
3. Weighing. Gradient descent learns how far to trust either, over all keywords together and, with restraint, per keyword.
   It sees the evidence as it was without the example in question, or it would trust it blindly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LIMIT = 3.0
RIDGE = 0.5
SINGLE_RIDGE = 2.0
SINGLE_SHARE = 0.6
LEAST_PROBABILITY, MOST_PROBABILITY = 0.004, 0.99
UNSEEN_EVIDENCE = -4.6
BATCH = 8
RESTRAINT = 2.0

# What the student may know of a keyword beforehand: nothing, that it is a kind of thing, or the name of a thing.
UNKNOWN, KIND, NAME = range(3)


class TrainingStep(NamedTuple):
    """One step of gradient descent; loss is the cross-entropy in nats per example, summed over keywords."""

    step: int
    epoch: int
    loss: float


@dataclass(frozen=True)
class Inputs:
    """What a student makes of feature vectors.

    ``values`` (N, D) is what evidence is drawn from, in blocks: ``blocks`` holds each block's width and its share of the
    ridge regression. ``single`` (D,) marks the inputs that may explain a keyword alone. ``recognised`` (N, K) is the
    log-odds of each word that the student knows.
    """

    values: np.ndarray
    blocks: tuple[tuple[int, float], ...]
    single: np.ndarray
    recognised: np.ndarray


class Perception(Protocol):
    """What a student knows before any training."""

    @property
    def identity(self) -> str:
        """Name what the feature vectors mean; a saved head refuses another's."""
        ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of things it recognises: the first columns of ``Inputs.recognised``."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Things it recognises: the other columns."""
        ...

    def inputs(self, features: np.ndarray) -> Inputs:
        """Read feature vectors, shape (N, F)."""
        ...


@dataclass(frozen=True)
class TrainedHead:
    """A trained student. ``weights`` is (D, W) over the words seen in training; the rest is per word of ``vocabulary``."""

    perception: Perception
    vocabulary: tuple[str, ...]
    centre: np.ndarray
    spread: np.ndarray
    weights: np.ndarray
    frequency: np.ndarray
    evidence_trust: np.ndarray
    recognition_trust: np.ndarray
    offset: np.ndarray
    fewest: int
    most: int
    steps: tuple[TrainingStep, ...]

    def keywords(self, features: np.ndarray) -> list[str]:
        """Return the keywords of one photo, features of shape (F,), the surest first."""
        probabilities = self.probabilities(features[None])[0]
        order = np.argsort(-probabilities, kind="stable")
        count = best_count(probabilities[order], self.fewest, self.most)
        return [self.vocabulary[index] for index in order[:count]]

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return (N, W) the probability of each word of the vocabulary for features of shape (N, F)."""
        inputs = self.perception.inputs(np.asarray(features, np.float32))
        predicted = self.frequency + standardised(inputs.values, self.centre, self.spread) @ self.weights
        evidence = _padded(log_odds(predicted), len(self.vocabulary))
        recognised = _recognition(inputs.recognised, known_columns(self.perception, self.vocabulary))
        return sigmoid(self.evidence_trust * evidence + self.recognition_trust * recognised + self.offset)

    def save(self, file: Path) -> None:
        """Write everything but the perception to one .npz file."""
        with file.open("wb") as opened:
            np.savez_compressed(
                opened,
                identity=np.array(self.perception.identity),
                vocabulary=np.array(self.vocabulary),
                centre=self.centre,
                spread=self.spread,
                weights=self.weights,
                frequency=self.frequency,
                evidence_trust=self.evidence_trust,
                recognition_trust=self.recognition_trust,
                offset=self.offset,
                limits=np.array([self.fewest, self.most]),
                steps=np.array(self.steps, np.float64).reshape(-1, 3),
            )

    @classmethod
    def load(cls, file: Path, perception: Perception) -> TrainedHead:
        """Read what ``save`` wrote; raise ValueError when it belongs to another student."""
        with np.load(file, allow_pickle=False) as saved:
            if str(saved["identity"]) != perception.identity:
                raise ValueError(f"trained for {saved['identity']}, not for {perception.identity}")
            fewest, most = saved["limits"].tolist()
            return cls(
                perception=perception,
                vocabulary=tuple(saved["vocabulary"].tolist()),
                centre=saved["centre"],
                spread=saved["spread"],
                weights=saved["weights"],
                frequency=saved["frequency"],
                evidence_trust=saved["evidence_trust"],
                recognition_trust=saved["recognition_trust"],
                offset=saved["offset"],
                fewest=fewest,
                most=most,
                steps=tuple(TrainingStep(int(step), int(epoch), loss) for step, epoch, loss in saved["steps"].tolist()),
            )


def train(
    perception: Perception,
    features: np.ndarray,
    labels: Sequence[Sequence[str]],
    *,
    epochs: int,
    seed: int,
    learning_rate: float,
) -> TrainedHead:
    """Train on features (N, F) and the keywords of each; the order of the examples makes no difference.

    Raises ValueError when there is no example, or not one label for each, or a label is empty.
    """
    features = np.asarray(features, np.float32)
    if not len(features) or len(features) != len(labels) or not all(labels):
        raise ValueError(f"{len(features)} examples with {len(labels)} labels, none of them empty, are needed")
    order = sorted(range(len(features)), key=lambda index: (features[index].tobytes(), sorted(labels[index])))
    labels = [labels[index] for index in order]
    inputs = perception.inputs(features[order])
    seen = sorted({word for label in labels for word in label})
    answers = np.array([[word in set(label) for word in seen] for label in labels], np.float64)
    vocabulary = (*seen, *(name for name in perception.names if name not in set(seen)))
    evidence = _Evidence.fit(inputs, answers)
    weighing = _Weighing(
        evidence=_padded(log_odds(evidence.left_out), len(vocabulary)),
        recognised=_recognition(inputs.recognised, known_columns(perception, vocabulary)),
        answers=np.pad(answers, ((0, 0), (0, len(vocabulary) - len(seen)))),
        group=_groups(perception, vocabulary),
    )
    steps = tuple(weighing.descend(epochs=epochs, seed=seed, learning_rate=learning_rate))
    counts = [len(set(label)) for label in labels]
    return TrainedHead(
        perception=perception,
        vocabulary=vocabulary,
        centre=evidence.centre,
        spread=evidence.spread,
        weights=evidence.weights.astype(np.float32),
        frequency=evidence.frequency,
        evidence_trust=weighing.evidence_trust(),
        recognition_trust=weighing.recognition_trust(),
        offset=weighing.offset(),
        fewest=min(counts),
        most=max(counts),
        steps=steps,
    )


def best_count(probabilities: np.ndarray, fewest: int, most: int) -> int:
    """Return how many of the descending probabilities to answer so that the expected Jaccard index is greatest."""
    expected_hits = np.cumsum(probabilities)
    count = np.arange(1, len(probabilities) + 1)
    expected = expected_hits / (count + expected_hits[-1] - expected_hits)
    return int(np.argmax(expected[fewest - 1 : most])) + fewest


def known_columns(perception: Perception, vocabulary: Sequence[str]) -> np.ndarray:
    """Return for each word its column in ``Inputs.recognised``, or -1."""
    column = {word: index for index, word in enumerate((*perception.kinds, *perception.names))}
    return np.array([column.get(word, -1) for word in vocabulary])


def standardised(values: np.ndarray, centre: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return values in spreads from the centre, held within limits."""
    return np.clip((values - centre) / spread, -LIMIT, LIMIT)


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Return the log-odds of predictions, which need not lie between 0 and 1."""
    held = np.clip(probabilities, LEAST_PROBABILITY, MOST_PROBABILITY)
    return np.log(held / (1 - held))


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Return the probability for log-odds."""
    return 1 / (1 + np.exp(-values))


@dataclass(frozen=True)
class _Evidence:
    """Linear prediction of each seen word; ``left_out`` (N, W) is it for each example without that example."""

    centre: np.ndarray
    spread: np.ndarray
    weights: np.ndarray
    frequency: np.ndarray
    left_out: np.ndarray

    @classmethod
    def fit(cls, inputs: Inputs, answers: np.ndarray) -> _Evidence:
        centre = inputs.values.mean(0)
        spread = inputs.values.std(0) + 1e-3
        values = standardised(inputs.values, centre, spread).astype(np.float64)
        middle = values.mean(0)
        values -= middle
        joint, joint_left_out = _ridge(values * _block_scales(values, inputs.blocks), answers)
        joint *= _block_scales(values, inputs.blocks)[:, None]
        single, single_left_out = _single_inputs(values * inputs.single, answers)
        weights = (1 - SINGLE_SHARE) * joint + SINGLE_SHARE * single
        return cls(
            centre=centre,
            spread=spread,
            weights=weights,
            frequency=answers.mean(0) - middle @ weights,
            left_out=(1 - SINGLE_SHARE) * joint_left_out + SINGLE_SHARE * single_left_out,
        )


def _block_scales(values: np.ndarray, blocks: tuple[tuple[int, float], ...]) -> np.ndarray:
    """Return (D,) factors that give each block its share of the examples' mean squared length."""
    scales, start = [], 0
    for width, share in blocks:
        length = np.square(values[:, start : start + width]).sum() / len(values)
        scales.append(np.full(width, np.sqrt(share / max(length, 1e-6))))
        start += width
    return np.concatenate(scales)


def _ridge(values: np.ndarray, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (D, W) weights of a ridge regression on centred values, and its leave-one-out predictions (N, W)."""
    count = len(values)
    kernel = values @ values.T
    inverse = np.linalg.inv(kernel + RIDGE * np.eye(count))
    centred = answers - answers.mean(0)
    residual = RIDGE * inverse @ centred
    leverage = 1 / count + np.einsum("ij,ji->i", kernel, inverse)
    return values.T @ (inverse @ centred), answers - residual / _remaining(leverage)[:, None]


def _single_inputs(values: np.ndarray, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average the regressions on one input each; return (D, W) weights and leave-one-out predictions (N, W).

    A regression weighs exp(-N x (its error - the error of answering the frequency) / (2 x the latter)).
    """
    count = len(values)
    centred = answers - answers.mean(0)
    energy = np.square(values).sum(0) + SINGLE_RIDGE
    slopes = values.T @ centred / energy[:, None]
    boost = 1 / _remaining(1 / count + np.square(values) / energy)
    squared = boost**2
    error = (
        squared.T @ centred**2
        - 2 * slopes * ((squared * values).T @ centred)
        + slopes**2 * (squared * np.square(values)).sum(0)[:, None]
    ) / count
    plain = centred / _remaining(np.array(1 / count))
    plain_error = np.square(plain).mean(0)
    usable = np.square(values).sum(0) > 0
    votes = np.exp(-count * (error - plain_error) / (2 * np.maximum(plain_error, 0.02))) * usable[:, None]
    votes /= votes.sum(0) + usable.sum() / 2 + 1e-9
    residual = centred * (boost @ votes) - (boost * values) @ (votes * slopes)
    return votes * slopes, answers - residual - (1 - votes.sum(0)) * plain


def _remaining(leverage: np.ndarray) -> np.ndarray:
    """Return how much of an example's prediction the other examples make; never quite nothing."""
    return np.maximum(1 - leverage, 1e-3)


def _padded(evidence: np.ndarray, words: int) -> np.ndarray:
    """Append the log-odds of words that training never saw."""
    return np.pad(evidence, ((0, 0), (0, words - evidence.shape[1])), constant_values=UNSEEN_EVIDENCE)


def _recognition(recognised: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return (N, W): about 0 at a probability of 2 %, 1 at a half; 0 for words that the student does not know."""
    known = columns >= 0
    result = np.zeros((len(recognised), len(columns)))
    result[:, known] = np.maximum(recognised[:, columns[known]], -7) / 4 + 1
    return result


def _groups(perception: Perception, vocabulary: Sequence[str]) -> np.ndarray:
    kinds = len(perception.kinds)
    columns = known_columns(perception, vocabulary)
    return np.where(columns < 0, UNKNOWN, np.where(columns < kinds, KIND, NAME))


class _Weighing:
    """Learns trust and offsets, shared by each group of words, and each word's own departure from its group."""

    def __init__(self, *, evidence: np.ndarray, recognised: np.ndarray, answers: np.ndarray, group: np.ndarray) -> None:
        self._evidence, self._recognised, self._answers, self._group = evidence, recognised, answers, group
        self._member = np.eye(3)[group]
        self._shared_evidence = np.ones(3)
        self._shared_recognition = np.array([0.0, 1.0, 1.0])
        self._shared_offset = np.zeros(3)
        self._own_recognition = np.zeros(len(group))
        self._own_offset = np.zeros(len(group))

    def evidence_trust(self) -> np.ndarray:
        return self._shared_evidence[self._group]

    def recognition_trust(self) -> np.ndarray:
        return self._shared_recognition[self._group] + self._own_recognition

    def offset(self) -> np.ndarray:
        return self._shared_offset[self._group] + self._own_offset

    def descend(self, *, epochs: int, seed: int, learning_rate: float) -> Iterator[TrainingStep]:
        """Run Adam over shuffled batches, slowing down towards the end."""
        count = len(self._answers)
        random = np.random.default_rng(seed)
        adam = _Adam(self._parameters())
        for epoch in range(epochs):
            rate = learning_rate * (1 - 0.9 * epoch / epochs)
            for batch in np.array_split(random.permutation(count), -(-count // BATCH)):
                loss, gradients = self._gradients(batch)
                adam.step(gradients, rate)
                yield TrainingStep(step=adam.steps, epoch=epoch + 1, loss=loss)

    def _parameters(self) -> list[np.ndarray]:
        shared = [self._shared_evidence, self._shared_recognition, self._shared_offset]
        return [*shared, self._own_recognition, self._own_offset]

    def _gradients(self, batch: np.ndarray) -> tuple[float, list[np.ndarray]]:
        evidence, recognised, answers = self._evidence[batch], self._recognised[batch], self._answers[batch]
        score = self.evidence_trust() * evidence + self.recognition_trust() * recognised + self.offset()
        loss = (np.logaddexp(0, score) - answers * score).sum(1).mean()
        slope = (sigmoid(score) - answers) / len(batch)
        by_recognition, by_offset = (slope * recognised).sum(0), slope.sum(0)
        restraint = RESTRAINT / len(self._answers)
        return float(loss), [
            (slope * evidence).sum(0) @ self._member,
            by_recognition @ self._member,
            by_offset @ self._member,
            by_recognition + restraint * self._own_recognition,
            by_offset + restraint * self._own_offset,
        ]


class _Adam:
    """Adam (Kingma and Ba 2015) that changes the given arrays in place."""

    def __init__(self, parameters: list[np.ndarray]) -> None:
        self.steps = 0
        self._parameters = parameters
        self._mean = [np.zeros_like(parameter) for parameter in parameters]
        self._square = [np.zeros_like(parameter) for parameter in parameters]

    def step(self, gradients: list[np.ndarray], rate: float) -> None:
        self.steps += 1
        for parameter, gradient, mean, square in zip(
            self._parameters, gradients, self._mean, self._square, strict=True
        ):
            mean += 0.1 * (gradient - mean)
            square += 0.01 * (gradient**2 - square)
            corrected = np.sqrt(square / (1 - 0.99**self.steps)) + 1e-8
            parameter -= rate * mean / (1 - 0.9**self.steps) / corrected
