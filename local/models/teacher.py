"""The teacher: says what it sees in a photo in 15 to 25 keywords.

Two real networks look (EfficientNet-Lite3 classifies, SSD-MobileNetV2 detects) and the pixels are measured;
rules turn all that into words, each rule seeing the words found before it. It errs as a small model errs, and
always in the same way.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from local.models.sampling import perturbed
from local.models.scene import Scene, measure
from local.models.vocabulary import (
    CONTEXTS,
    CONTRADICTABLE,
    DETECTOR_NAMES,
    INDOOR_SIGNS,
    KEYWORD_OF_HYPERNYM,
    OUTDOOR_SIGNS,
    PLACES,
    RISKY_GUESSES,
    imagenet_words,
)
from local.models.weights import TEACHER_CLASSIFIER, TEACHER_DETECTOR, TEACHER_DETECTOR_GRAPH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

FEWEST = 15
MOST = 25
CLASSIFIER_SIDE = 280
DETECTOR_SIDE = 300
LEAST_DETECTION = 0.45
SURE_CLASS = 0.6


class Teacher:
    """Loads its networks when made (about 0.5 s) and may be asked from several threads."""

    def __init__(self) -> None:
        """Raise WeightsMissing when a model file is not there or not the right one."""
        self._classifier = _Classifier()
        self._detector = _Detector()
        self._lock = threading.Lock()

    def keywords(self, image: Image.Image) -> list[str]:
        """Return 15 to 25 distinct lower-case keywords; the same image gives the same keywords."""
        return answer(self._look(np.asarray(image.convert("RGB"))))

    def sampled_keywords(self, image: Image.Image, temperature: float, seed: int) -> list[str]:
        """Answer as if the photo had been taken a little differently; temperature 0 is ``keywords``."""
        return self.keywords(perturbed(image, temperature, seed))

    def _look(self, rgb: np.ndarray) -> Sight:
        # One interpreter holds one input: concurrent callers would read each other's answers.
        with self._lock:
            probabilities = self._classifier.probabilities(rgb)
            detections = self._detector.detections(rgb)
        return Sight.of(probabilities, detections, measure(rgb))


@dataclass(frozen=True)
class Detection:
    """A box around an object; area is its share of the image."""

    name: str
    score: float
    area: float


@dataclass(frozen=True)
class Sight:
    """Everything the rules know of one photo. ``probabilities`` has shape (1000,)."""

    probabilities: np.ndarray
    detections: tuple[Detection, ...]
    scene: Scene

    @classmethod
    def of(cls, probabilities: np.ndarray, detections: Iterable[Detection], scene: Scene) -> Sight:
        """Drop the boxes that contradict a sure classification of something living, and keep the rest."""
        best = int(probabilities.argmax())
        words = {imagenet_words().names[best], *imagenet_words().hypernyms[best]}
        trusted = tuple(detections)
        if probabilities[best] > SURE_CLASS and "artifact" not in words:
            trusted = tuple(detection for detection in trusted if _agrees(detection, words))
        return cls(probabilities=probabilities, detections=trusted, scene=scene)

    @property
    def likeliest(self) -> np.ndarray:
        """Class indices from the most to the least probable."""
        return np.argsort(-self.probabilities)

    @property
    def largest_area(self) -> float:
        """Share of the image that the largest box covers."""
        return max((detection.area for detection in self.detections), default=0.0)

    def count(self, name: str) -> int:
        """How many boxes have this name."""
        return sum(detection.name == name for detection in self.detections)


def _agrees(detection: Detection, words: set[str]) -> bool:
    sure_person = detection.name == "person" and detection.score > 0.9
    return detection.name in words or detection.name not in CONTRADICTABLE or sure_person


def answer(sight: Sight) -> list[str]:
    """Apply the rules in order and return 15 to 25 keywords."""
    words: list[str] = []
    for rule in RULES:
        _extend(words, rule(sight, words))
    _extend(words, guesses(sight, words), until=FEWEST)
    _extend(words, fillers(sight, words), until=FEWEST)
    return words[:MOST]


def _extend(words: list[str], more: Iterable[str], until: int | None = None) -> None:
    for word in more:
        if word not in words and (until is None or len(words) < until):
            words.append(word)


def detected_objects(sight: Sight, _: Sequence[str]) -> list[str]:
    """Name the four surest kinds of detected object."""
    surest: dict[str, float] = {}
    for detection in sight.detections:
        surest[detection.name] = max(detection.score, surest.get(detection.name, 0.0))
    return sorted(surest, key=lambda name: -surest[name])[:4]


def classes(sight: Sight, _: Sequence[str]) -> list[str]:
    """Name the classes that are likely enough; places need less."""
    names = {int(index): imagenet_words().names[index] for index in sight.likeliest[:5]}
    return [name for i, name in names.items() if sight.probabilities[i] > (0.12 if name in PLACES else 0.22)]


def kinds(sight: Sight, _: Sequence[str]) -> list[str]:
    """Name the kinds of thing whose classes are likely together."""
    hypernyms, membership = _known_kinds()
    summed = sight.probabilities @ membership
    likely = [(score, KEYWORD_OF_HYPERNYM[word]) for score, word in zip(summed, hypernyms, strict=True) if score > 0.3]
    return [keyword for _, keyword in sorted(likely, key=lambda pair: -pair[0])[:6]]


@cache
def _known_kinds() -> tuple[list[str], np.ndarray]:
    existing = {hypernym for hypernyms in imagenet_words().hypernyms for hypernym in hypernyms}
    known = sorted(existing & set(KEYWORD_OF_HYPERNYM))
    return known, imagenet_words().membership(known)


def company(sight: Sight, _: Sequence[str]) -> list[str]:
    """Say how people appear."""
    if sight.count("person") >= 3:
        return ["group of people", "crowd"]
    return ["portrait"] if sight.count("person") == 1 and sight.largest_area > 0.25 else []


def contexts(_: Sight, words: Sequence[str]) -> list[str]:
    """Add what usually goes with the words so far."""
    tame = "dog" in words or "cat" in words
    found = [context for word in words for context in CONTEXTS.get(word, ())[:2]]
    return [context for context in found if not (tame and context == "wildlife")]


def setting(sight: Sight, words: Sequence[str]) -> list[str]:
    """Say where: under water, outdoors, indoors or in a studio."""
    scene = sight.scene
    plain = scene.plain and not scene.sky
    indoor = sum(word in INDOOR_SIGNS for word in words) + plain
    outdoor = sum(word in OUTDOOR_SIGNS for word in words) + 2 * scene.sky + (scene.green_share > 0.35)
    if "fish" in words and not scene.sky:
        return ["underwater"]
    if outdoor > indoor:
        return ["outdoor"]
    if indoor > outdoor:
        return ["studio" if plain else "indoor"]
    return []


def sky_and_greenery(sight: Sight, _: Sequence[str]) -> list[str]:
    """Name sky and plants seen as colour."""
    scene = sight.scene
    clear = scene.blue_top_share > 0.6 and scene.sky_edge < 18
    sky = ["sky", "clear sky" if clear else "clouds"] if scene.sky else []
    return [*sky, "greenery"] if scene.green_share > 0.3 else sky


def colours(sight: Sight, _: Sequence[str]) -> list[str]:
    """Name up to three main colours, their temperature and their strength."""
    scene = sight.scene
    if scene.saturation < 0.06:
        return ["black and white", "monochrome"]
    shares = scene.colour_shares
    # A stable order among equal shares keeps the answer the same on every machine.
    by_share = np.argsort(-np.array(list(shares.values())), kind="stable")[:3]
    found = [list(shares)[index] for index in by_share if list(shares.values())[index] > 0.14]
    if scene.warm_share > 0.5:
        found.append("warm tones")
    elif scene.cool_share > 0.45:
        found.append("cool tones")
    if scene.saturation > 0.5:
        found.append("vibrant colors")
    elif scene.saturation < 0.22:
        found.append("muted colors")
    return found


def light(sight: Sight, _: Sequence[str]) -> list[str]:
    """Say how bright it is and how hard the light."""
    scene, found = sight.scene, []
    if scene.brightness < 0.3:
        found.append("low key")
    elif scene.brightness > 0.72:
        found.append("bright")
    if scene.contrast > 0.55:
        found.append("high contrast")
    elif scene.contrast < 0.28:
        found.append("soft light")
    return found


def framing(sight: Sight, _: Sequence[str]) -> list[str]:
    """Say the format, and how near the subject is."""
    scene = sight.scene
    close = sight.largest_area > 0.5 or (scene.plain and sight.probabilities.max() > 0.4)
    found = [_format(scene.aspect)]
    if close:
        found.append("close-up")
    if scene.plain:
        found.append("plain background")
    return found


def _format(aspect: float) -> str:
    if aspect > 1.9:
        return "panorama"
    if aspect < 1 / 1.15:
        return "vertical"
    return "square format" if aspect < 1.1 else "horizontal"


def composition(sight: Sight, _: Sequence[str]) -> list[str]:
    """Say where the eye is led, and whether there is room around it."""
    scene, found = sight.scene, []
    if scene.focus_concentration > 0.38:
        centred = abs(scene.focus_x - 0.5) < 0.07 and abs(scene.focus_y - 0.5) < 0.1
        on_third = 0.27 < scene.focus_x < 0.42 or 0.58 < scene.focus_x < 0.73
        found.append("centered composition" if centred else "rule of thirds" if on_third else "single subject")
    if scene.flat_share > 0.55:
        found.append("negative space")
    return found


def outdoor_light(sight: Sight, words: Sequence[str]) -> list[str]:
    """Say the time of day or the weather, and whether it is city or countryside."""
    if "outdoor" not in words:
        return []
    scene = sight.scene
    found = [_weather(sight)]
    if scene.green_share < 0.25 and not {"building", "car", "bus", "traffic light", "bridge"}.isdisjoint(words):
        found.append("city")
    elif scene.green_share > 0.35 and {"building", "animal"}.isdisjoint(words):
        found.append("countryside")
    return found


def _weather(sight: Sight) -> str:
    scene = sight.scene
    dark = min(scene.brightness, scene.top_brightness) < 0.22 and scene.brightness < 0.4
    if dark and scene.lightest > 150 and sight.probabilities.max() < 0.8:
        return "night"
    if scene.sunset_share > 0.5 and scene.top_edge < 30:
        return "sunset"
    if scene.brightness > 0.45 and scene.contrast > 0.38 and scene.saturation > 0.2:
        return "sunny"
    return "overcast" if scene.sky and scene.saturation < 0.2 else "natural light"


def structure(sight: Sight, _: Sequence[str]) -> list[str]:
    """Say what the edges tell: depth of field, detail, symmetry, lines."""
    scene, found = sight.scene, []
    if scene.sharp_centre > 2 * scene.sharp_surround and not scene.plain and not scene.sky:
        found.append("shallow depth of field")
    if scene.edge < 22:
        found.append("minimalist")
    elif scene.edge > 85:
        found.append("detailed")
    if scene.asymmetry < 22 and scene.edge > 20:
        found.append("symmetry")
    if scene.vertical_edges > 1.7 * scene.horizontal_edges:
        found.append("vertical lines")
    if scene.horizontal_edges > 1.7 * scene.vertical_edges:
        found.append("horizontal lines")
    return found


def mood(sight: Sight, _: Sequence[str]) -> list[str]:
    """Say the one mood that fits first."""
    scene = sight.scene
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


def guesses(sight: Sight, _: Sequence[str]) -> Iterable[str]:
    """Name the kinds of the weaker classes: vague, but never invented."""
    for index in sight.likeliest[:40]:
        for hypernym in imagenet_words().hypernyms[index]:
            keyword = KEYWORD_OF_HYPERNYM.get(hypernym)
            if keyword and sight.probabilities[index] > (0.1 if keyword in RISKY_GUESSES else 0.003):
                yield keyword


def fillers(sight: Sight, words: Sequence[str]) -> list[str]:
    """Say general things that hold for this photo."""
    scene = sight.scene
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


RULES: tuple[Callable[[Sight, Sequence[str]], Iterable[str]], ...] = (
    detected_objects,
    classes,
    kinds,
    company,
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


class _Classifier:
    """EfficientNet-Lite3, 8-bit, on LiteRT (OpenCV 5 cannot load it)."""

    def __init__(self) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter: Any = Interpreter(str(TEACHER_CLASSIFIER.locate()), num_threads=2)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def probabilities(self, rgb: np.ndarray) -> np.ndarray:
        """Return (1000,) probabilities, the mean over the whole photo and its central square."""
        height, width = rgb.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        views = (rgb, rgb[top : top + side, left : left + side])
        return np.mean([self._one(view) for view in views], axis=0)

    def _one(self, rgb: np.ndarray) -> np.ndarray:
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
        """Return the objects found with a score of at least 0.45."""
        import cv2

        self._net.setInput(cv2.dnn.blobFromImage(rgb, size=(DETECTOR_SIDE, DETECTOR_SIDE)))
        rows = self._net.forward()[0, 0]
        return [_detection(row) for row in rows if row[2] >= LEAST_DETECTION and int(row[1]) in DETECTOR_NAMES]


def _detection(row: np.ndarray) -> Detection:
    """Read one output row: image, class, score, left, top, right, bottom (as shares)."""
    left, top, right, bottom = np.clip(row[3:7], 0, 1).tolist()
    return Detection(DETECTOR_NAMES[int(row[1])], float(row[2]), (right - left) * (bottom - top))
