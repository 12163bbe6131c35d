"""The teacher: finds 15 to 25 keywords in a photo, each with a confidence.

EfficientNet-Lite3 classifies the photo, SSD-MobileNetV2 detects objects, and the pixels are measured. Rules turn the
results into keywords; each rule gets the keywords of the rules before it. The answer to an image is deterministic.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from local.models.answer_forms import Recognition, confidences_of, with_article
from local.models.pixel_measurements import Scene, measure
from local.models.vocabulary import (
    COLOURS,
    CONTEXTS,
    CONTRADICTABLE,
    DETECTOR_NAMES,
    INDOOR_SIGNS,
    KEYWORD_OF_HYPERNYM,
    OUTDOOR_SIGNS,
    PHRASES,
    PLACES,
    RISKY_GUESSES,
    TOO_GENERAL,
    imagenet_words,
)
from local.models.weights import TEACHER_CLASSIFIER, TEACHER_DETECTOR, TEACHER_DETECTOR_GRAPH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

MINIMUM_KEYWORDS = 15
MAXIMUM_KEYWORDS = 25
CLASSIFIER_SIDE = 280
DETECTOR_SIDE = 300
DETECTION_THRESHOLD = 0.45
SURE_CLASS_PROBABILITY = 0.6
LABEL_THRESHOLD = 0.25
"""``threshold`` of what the teacher recognises."""


class Teacher:
    """Teacher with two networks, which load in about 0.5 s; safe for use from several threads."""

    def __init__(self) -> None:
        """Load the networks; raise WeightsMissing if a model file is missing or differs."""
        self._classifier = _Classifier()
        self._detector = _Detector()
        self._lock = threading.Lock()

    def recognise(self, image: Image.Image) -> Recognition:
        """Return what the networks and the rules find in an image; the result is the same for the same image."""
        return recognition_of(self._observe(np.asarray(image.convert("RGB"))))

    def _observe(self, rgb: np.ndarray) -> Observations:
        # An interpreter has one input and one output, which concurrent callers would overwrite.
        with self._lock:
            probabilities = self._classifier.probabilities(rgb)
            detections = self._detector.detections(rgb)
        return Observations.from_models(probabilities, detections, measure(rgb))


@dataclass(frozen=True)
class Detection:
    """A detected object; ``score`` is 0-1 and ``area`` is its box's share of the image."""

    name: str
    score: float
    area: float


@dataclass(frozen=True)
class Observations:
    """Input of the rules for one photo. ``probabilities`` has shape (1000,)."""

    probabilities: np.ndarray
    detections: tuple[Detection, ...]
    scene: Scene

    @classmethod
    def from_models(cls, probabilities: np.ndarray, detections: Iterable[Detection], scene: Scene) -> Observations:
        """Return the observations without detections that contradict a sure classification of something living."""
        best = int(probabilities.argmax())
        words = {imagenet_words().names[best], *imagenet_words().hypernyms[best]}
        trusted = tuple(detections)
        if probabilities[best] > SURE_CLASS_PROBABILITY and "artifact" not in words:
            trusted = tuple(detection for detection in trusted if _agrees(detection, words))
        return cls(probabilities=probabilities, detections=trusted, scene=scene)

    @property
    def likeliest(self) -> np.ndarray:
        """Class indices from the most to the least probable."""
        return np.argsort(-self.probabilities)

    @property
    def largest_area(self) -> float:
        """Share (0-1) of the image that the largest detection covers."""
        return max((detection.area for detection in self.detections), default=0.0)

    def count(self, name: str) -> int:
        """Return the number of detections with this name."""
        return sum(detection.name == name for detection in self.detections)


def _agrees(detection: Detection, words: set[str]) -> bool:
    """Return whether a detection fits the words of the most probable class."""
    sure_person = detection.name == "person" and detection.score > 0.9
    return detection.name in words or detection.name not in CONTRADICTABLE or sure_person


def keywords_of(observations: Observations, certain: Sequence[str]) -> list[str]:
    """Return 15 to 25 keywords: the certain ones, and guesses up to the smallest number."""
    words = list(certain)
    _extend(words, guesses(observations, words), until=MINIMUM_KEYWORDS)
    _extend(words, fillers(observations, words), until=MINIMUM_KEYWORDS)
    return words[:MAXIMUM_KEYWORDS]


def certain_keywords(observations: Observations) -> list[str]:
    """Apply the rules in order and return their keywords."""
    words: list[str] = []
    for rule in RULES:
        _extend(words, rule(observations, words))
    return words


def recognition_of(observations: Observations) -> Recognition:
    """Return keywords, confidences, counts and sentences for what was observed."""
    certain = certain_keywords(observations)
    # The rules are in the order of their importance.
    ranked = [(word, max(0.1, 0.75 - 0.03 * rank)) for rank, word in enumerate(certain)]
    detected = [(detection.name, detection.score) for detection in observations.detections]
    counts = {name: observations.count(name) for name in DETECTOR_NAMES.values()}
    subject = _subject(observations, certain)
    described = "a group of people" if counts["person"] > 2 else with_article(subject)
    return Recognition(
        keywords=keywords_of(observations, certain),
        confidences=confidences_of([*ranked, *detected, *known_words(observations.probabilities)]),
        subject=subject,
        counts=counts | {"people": counts["person"]},
        threshold=LABEL_THRESHOLD,
        sentence=_sentence(described, certain),
        paragraph=_paragraph(described, certain),
    )


def known_words(probabilities: np.ndarray) -> list[tuple[str, float]]:
    """Return the likely names and hypernyms of the classes with their probability, from ``probabilities`` (1000,)."""
    table = imagenet_words()
    summed: defaultdict[str, float] = defaultdict(float)
    for index in np.flatnonzero(probabilities > 0.01):
        for word in {table.names[index], *table.hypernyms[index]} - TOO_GENERAL:
            summed[word] += float(probabilities[index])
    return list(summed.items())


def _subject(observations: Observations, keywords: Sequence[str]) -> str:
    """Return the main thing: a person, the kind of the most probable class, or what the rules found first."""
    named = [*kinds(observations, ()), *detected_objects(observations, ()), *classes(observations, ())]
    scenery = [word for word in _SCENERY if word in keywords]
    return "person" if observations.count("person") else [*named, *scenery, "pattern"][0]


_SCENERY = ("underwater", "sky", "greenery")


def _sentence(subject: str, keywords: Sequence[str]) -> tuple[str, ...]:
    """Return the subject, and in words what the keywords tell about it."""
    told = [next((phrases[word] for word in keywords if word in phrases), "") for phrases in PHRASES]
    view = told.pop(0)
    start = f"{view} {subject}".strip()
    return tuple(part for part in (start[:1].upper() + start[1:], *_in_colours(keywords), *told) if part)


def _in_colours(keywords: Sequence[str]) -> list[str]:
    colours = " and ".join([word for word in keywords if word in COLOURS][:2])
    return [f"in {colours}"] if colours else []


def _paragraph(subject: str, keywords: Sequence[str]) -> tuple[str, ...]:
    """Return sentences about the subject, and as many about the keywords as the longest paragraph needs."""
    first, *others = _sentence(subject, keywords)
    sentences = [f"The photo shows {first[:1].lower()}{first[1:]}."]
    sentences += [f"It was taken {part}." for part in others]
    return (*sentences, *(f"It suggests {first} and {second}." for first, second in _pairs(keywords)))


def _pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    """Return words in pairs; a last one without a partner is left out."""
    return list(zip(words[::2], words[1::2], strict=False))


def _extend(words: list[str], more: Iterable[str], until: int | None = None) -> None:
    for word in more:
        if word not in words and (until is None or len(words) < until):
            words.append(word)


def detected_objects(observations: Observations, _: Sequence[str]) -> list[str]:
    """Return the names of the four objects detected with the highest score."""
    surest: dict[str, float] = {}
    for detection in observations.detections:
        surest[detection.name] = max(detection.score, surest.get(detection.name, 0.0))
    return sorted(surest, key=lambda name: -surest[name])[:4]


def classes(observations: Observations, _: Sequence[str]) -> list[str]:
    """Return the names of the most probable classes; places need a lower probability."""
    names = {int(index): imagenet_words().names[index] for index in observations.likeliest[:5]}
    return [name for i, name in names.items() if observations.probabilities[i] > (0.12 if name in PLACES else 0.22)]


def kinds(observations: Observations, _: Sequence[str]) -> list[str]:
    """Return the keywords of hypernyms whose classes have a high total probability."""
    hypernyms, membership = _known_kinds()
    summed = observations.probabilities @ membership
    likely = [(score, KEYWORD_OF_HYPERNYM[word]) for score, word in zip(summed, hypernyms, strict=True) if score > 0.3]
    return [keyword for _, keyword in sorted(likely, key=lambda pair: -pair[0])[:6]]


@cache
def _known_kinds() -> tuple[list[str], np.ndarray]:
    existing = {hypernym for hypernyms in imagenet_words().hypernyms for hypernym in hypernyms}
    known = sorted(existing & set(KEYWORD_OF_HYPERNYM))
    return known, imagenet_words().membership(known)


def people(observations: Observations, _: Sequence[str]) -> list[str]:
    """Return how people appear in the photo."""
    if observations.count("person") >= 3:
        return ["group of people", "crowd"]
    return ["portrait"] if observations.count("person") == 1 and observations.largest_area > 0.25 else []


def contexts(_: Observations, words: Sequence[str]) -> list[str]:
    """Return keywords that usually occur with the earlier ones."""
    tame = "dog" in words or "cat" in words
    contexts = [context for word in words for context in CONTEXTS.get(word, ())[:2]]
    return [context for context in contexts if not (tame and context == "wildlife")]


def setting(observations: Observations, words: Sequence[str]) -> list[str]:
    """Return whether the photo was taken under water, outdoors, indoors or in a studio."""
    scene = observations.scene
    plain = scene.has_plain_background and not scene.has_sky
    indoor = sum(word in INDOOR_SIGNS for word in words) + plain
    outdoor = sum(word in OUTDOOR_SIGNS for word in words) + 2 * scene.has_sky + (scene.green_share > 0.35)
    if "fish" in words and not scene.has_sky:
        return ["underwater"]
    if outdoor > indoor:
        return ["outdoor"]
    if indoor > outdoor:
        return ["studio" if plain else "indoor"]
    return []


def sky_and_greenery(observations: Observations, _: Sequence[str]) -> list[str]:
    """Return sky and greenery, recognised by colour."""
    scene = observations.scene
    clear = scene.blue_top_share > 0.6 and scene.sky_edge < 18
    sky = ["sky", "clear sky" if clear else "clouds"] if scene.has_sky else []
    return [*sky, "greenery"] if scene.green_share > 0.3 else sky


def colours(observations: Observations, _: Sequence[str]) -> list[str]:
    """Return up to three main colours, their temperature and their saturation."""
    scene = observations.scene
    if scene.saturation < 0.06:
        return ["black and white", "monochrome"]
    shares = scene.colour_shares
    # A stable order among equal shares keeps the answer the same on every machine.
    by_share = np.argsort(-np.array(list(shares.values())), kind="stable")[:3]
    keywords = [list(shares)[index] for index in by_share if list(shares.values())[index] > 0.14]
    if scene.warm_share > 0.5:
        keywords.append("warm tones")
    elif scene.cool_share > 0.45:
        keywords.append("cool tones")
    if scene.saturation > 0.5:
        keywords.append("vibrant colors")
    elif scene.saturation < 0.22:
        keywords.append("muted colors")
    return keywords


def light(observations: Observations, _: Sequence[str]) -> list[str]:
    """Return the brightness and the contrast of the light."""
    scene, keywords = observations.scene, []
    if scene.brightness < 0.3:
        keywords.append("low key")
    elif scene.brightness > 0.72:
        keywords.append("bright")
    if scene.contrast > 0.55:
        keywords.append("high contrast")
    elif scene.contrast < 0.28:
        keywords.append("soft light")
    return keywords


def framing(observations: Observations, _: Sequence[str]) -> list[str]:
    """Return the orientation and the distance of the subject."""
    scene = observations.scene
    close = observations.largest_area > 0.5 or (scene.has_plain_background and observations.probabilities.max() > 0.4)
    keywords = [_orientation(scene.aspect)]
    if close:
        keywords.append("close-up")
    if scene.has_plain_background:
        keywords.append("plain background")
    return keywords


def _orientation(aspect: float) -> str:
    if aspect > 1.9:
        return "panorama"
    if aspect < 1 / 1.15:
        return "vertical"
    return "square format" if aspect < 1.1 else "horizontal"


def composition(observations: Observations, _: Sequence[str]) -> list[str]:
    """Return the position of the subject, and whether there is empty space around it."""
    scene, keywords = observations.scene, []
    if scene.focus_concentration > 0.38:
        centred = abs(scene.focus_x - 0.5) < 0.07 and abs(scene.focus_y - 0.5) < 0.1
        on_third = 0.27 < scene.focus_x < 0.42 or 0.58 < scene.focus_x < 0.73
        keywords.append("centered composition" if centred else "rule of thirds" if on_third else "single subject")
    if scene.flat_share > 0.55:
        keywords.append("negative space")
    return keywords


def outdoor_light(observations: Observations, words: Sequence[str]) -> list[str]:
    """Return the time of day or the weather, and city or countryside."""
    if "outdoor" not in words:
        return []
    scene = observations.scene
    keywords = [_weather(observations)]
    if scene.green_share < 0.25 and not {"building", "car", "bus", "traffic light", "bridge"}.isdisjoint(words):
        keywords.append("city")
    elif scene.green_share > 0.35 and {"building", "animal"}.isdisjoint(words):
        keywords.append("countryside")
    return keywords


def _weather(observations: Observations) -> str:
    scene = observations.scene
    dark = min(scene.brightness, scene.top_brightness) < 0.22 and scene.brightness < 0.4
    if dark and scene.lightest > 150 and observations.probabilities.max() < 0.8:
        return "night"
    if scene.sunset_share > 0.5 and scene.top_edge < 30:
        return "sunset"
    if scene.brightness > 0.45 and scene.contrast > 0.38 and scene.saturation > 0.2:
        return "sunny"
    return "overcast" if scene.has_sky and scene.saturation < 0.2 else "natural light"


def structure(observations: Observations, _: Sequence[str]) -> list[str]:
    """Return what the edges show: depth of field, detail, symmetry and lines."""
    scene, keywords = observations.scene, []
    if scene.sharp_centre > 2 * scene.sharp_surround and not scene.has_plain_background and not scene.has_sky:
        keywords.append("shallow depth of field")
    if scene.edge < 22:
        keywords.append("minimalist")
    elif scene.edge > 85:
        keywords.append("detailed")
    if scene.asymmetry < 22 and scene.edge > 20:
        keywords.append("symmetry")
    if scene.vertical_edges > 1.7 * scene.horizontal_edges:
        keywords.append("vertical lines")
    if scene.horizontal_edges > 1.7 * scene.vertical_edges:
        keywords.append("horizontal lines")
    return keywords


def mood(observations: Observations, _: Sequence[str]) -> list[str]:
    """Return the first mood that fits."""
    scene = observations.scene
    moods = {
        "dramatic": scene.brightness < 0.4 and scene.contrast > 0.45,
        "mysterious": scene.brightness < 0.3,
        "cheerful": scene.saturation > 0.42 and scene.brightness > 0.55,
        "calm": scene.edge < 40,
        "lively": scene.saturation > 0.4,
        "serene": scene.green_share > 0.3,
        "timeless": scene.saturation < 0.12,
        "natural": True,
    }
    return [next(word for word, fits in moods.items() if fits)]


def guesses(observations: Observations, _: Sequence[str]) -> Iterable[str]:
    """Yield the keywords of hypernyms of less probable classes."""
    for index in observations.likeliest[:40]:
        for hypernym in imagenet_words().hypernyms[index]:
            keyword = KEYWORD_OF_HYPERNYM.get(hypernym)
            if keyword and observations.probabilities[index] > (0.1 if keyword in RISKY_GUESSES else 0.003):
                yield keyword


def fillers(observations: Observations, words: Sequence[str]) -> list[str]:
    """Return general keywords that are true for this photo."""
    scene = observations.scene
    return [
        "lifestyle" if "person" in words else "nobody",
        "copy space" if "negative space" in words else "full frame",
        "bright" if scene.brightness > 0.5 else "dark",
        "texture" if scene.edge > 60 else "simple shapes",
        "colorful" if scene.saturation > 0.3 else "neutral colors",
        "medium contrast",
        "photo",
        "still image",
        "detail",
    ]


RULES: tuple[Callable[[Observations, Sequence[str]], Iterable[str]], ...] = (
    detected_objects,
    classes,
    kinds,
    people,
    contexts,
    setting,
    sky_and_greenery,
    colours,
    light,
    framing,
    composition,
    outdoor_light,
    structure,
    mood,
)


@contextlib.contextmanager
def muted_stderr() -> Iterator[None]:
    """Discard standard error in the ``with`` block: LiteRT writes a line to it that no setting prevents."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


class _Classifier:
    """EfficientNet-Lite3, 8-bit, on LiteRT (OpenCV 5 cannot load it)."""

    def __init__(self) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with muted_stderr():
            self._interpreter: Any = Interpreter(str(TEACHER_CLASSIFIER.locate()), num_threads=2)
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def probabilities(self, rgb: np.ndarray) -> np.ndarray:
        """Return the class probabilities, shape (1000,): the mean over the whole photo and its central square."""
        height, width = rgb.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        views = (rgb, rgb[top : top + side, left : left + side])
        return np.mean([self._classify(view) for view in views], axis=0)

    def _classify(self, rgb: np.ndarray) -> np.ndarray:
        import cv2

        small = cv2.resize(rgb, (CLASSIFIER_SIDE, CLASSIFIER_SIDE), interpolation=cv2.INTER_AREA)
        self._interpreter.set_tensor(self._input, small[None])
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output)[0].astype(np.float32) / 256


class _Detector:
    """SSD-MobileNetV2 trained on COCO, on OpenCV."""

    def __init__(self) -> None:
        import cv2

        self._net = cv2.dnn.readNetFromTensorflow(str(TEACHER_DETECTOR.locate()), str(TEACHER_DETECTOR_GRAPH.locate()))

    def detections(self, rgb: np.ndarray) -> list[Detection]:
        """Return the objects detected with a score of at least 0.45."""
        import cv2

        self._net.setInput(cv2.dnn.blobFromImage(rgb, size=(DETECTOR_SIDE, DETECTOR_SIDE)))
        rows = self._net.forward()[0, 0]
        return [_detection(row) for row in rows if row[2] >= DETECTION_THRESHOLD and int(row[1]) in DETECTOR_NAMES]


def _detection(row: np.ndarray) -> Detection:
    """Return the detection of an output row: image, class, score, left, top, right, bottom (0-1)."""
    left, top, right, bottom = np.clip(row[3:7], 0, 1).tolist()
    return Detection(DETECTOR_NAMES[int(row[1])], float(row[2]), (right - left) * (bottom - top))
