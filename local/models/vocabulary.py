"""Words of the small models and the classes that they are recognised by.

Teacher and student share ``imagenet_words``: the ImageNet classes and their WordNet hypernyms. Only the teacher uses
the other tables. The student has to learn them from the teacher's answers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class ImageNetWords:
    """Names and hypernyms (nearest first) of the 1000 ImageNet classes, in class order."""

    names: tuple[str, ...]
    hypernyms: tuple[tuple[str, ...], ...]

    def membership(self, words: list[str]) -> np.ndarray:
        """Return float32 of shape (1000, words): 1 if the word is the name or a hypernym of the class, else 0."""
        column = {word: index for index, word in enumerate(words)}
        matrix = np.zeros((len(self.names), len(words)), np.float32)
        for row, (name, hypernyms) in enumerate(zip(self.names, self.hypernyms, strict=True)):
            for word in (*hypernyms, name):
                if word in column:
                    matrix[row, column[word]] = 1
        return matrix


@cache
def imagenet_words() -> ImageNetWords:
    """Read imagenet_words.json."""
    table = json.loads(Path(__file__).with_name("imagenet_words.json").read_text(encoding="utf-8"))
    words = table["hypernyms"]
    return ImageNetWords(
        names=tuple(name for name, _ in table["classes"]),
        hypernyms=tuple(tuple(words[index] for index in indices) for _, indices in table["classes"]),
    )


# Class number of the detector (COCO's numbers, which have gaps) -> keyword.
DETECTOR_NAMES: dict[int, str] = {
    1: "person",
    2: "bicycle",
    3: "car",
    4: "motorcycle",
    5: "airplane",
    6: "bus",
    7: "train",
    8: "truck",
    9: "boat",
    10: "traffic light",
    11: "fire hydrant",
    13: "stop sign",
    14: "parking meter",
    15: "bench",
    16: "bird",
    17: "cat",
    18: "dog",
    19: "horse",
    20: "sheep",
    21: "cow",
    22: "elephant",
    23: "bear",
    24: "zebra",
    25: "giraffe",
    27: "backpack",
    28: "umbrella",
    31: "handbag",
    32: "tie",
    33: "suitcase",
    34: "frisbee",
    35: "skis",
    36: "snowboard",
    37: "ball",
    38: "kite",
    39: "baseball bat",
    40: "baseball glove",
    41: "skateboard",
    42: "surfboard",
    43: "tennis racket",
    44: "bottle",
    46: "wine glass",
    47: "cup",
    48: "fork",
    49: "knife",
    50: "spoon",
    51: "bowl",
    52: "banana",
    53: "apple",
    54: "sandwich",
    55: "orange",
    56: "broccoli",
    57: "carrot",
    58: "hot dog",
    59: "pizza",
    60: "donut",
    61: "cake",
    62: "chair",
    63: "couch",
    64: "potted plant",
    65: "bed",
    67: "table",
    70: "toilet",
    72: "tv",
    73: "laptop",
    74: "mouse",
    75: "remote",
    76: "keyboard",
    77: "cell phone",
    78: "microwave",
    79: "oven",
    80: "toaster",
    81: "sink",
    82: "refrigerator",
    84: "book",
    85: "clock",
    86: "vase",
    87: "scissors",
    88: "teddy bear",
    89: "hair drier",
    90: "toothbrush",
}

# WordNet hypernym -> keyword of a photo editor. Other hypernyms are too abstract for a keyword.
KEYWORD_OF_HYPERNYM: dict[str, str] = {
    "dog": "dog",
    "cat": "cat",
    "bird": "bird",
    "fish": "fish",
    "insect": "insect",
    "butterfly": "butterfly",
    "reptile": "reptile",
    "amphibian": "amphibian",
    "monkey": "monkey",
    "primate": "primate",
    "bear": "bear",
    "feline": "feline",
    "canine": "canine",
    "ungulate": "hoofed animal",
    "crustacean": "crustacean",
    "spider": "spider",
    "aquatic bird": "water bird",
    "mammal": "mammal",
    "animal": "animal",
    "fortification": "castle",
    "church": "church",
    "building": "building",
    "structure": "architecture",
    "house": "house",
    "bridge": "bridge",
    "memorial": "monument",
    "tower": "tower",
    "establishment": "shop",
    "boat": "boat",
    "ship": "ship",
    "aircraft": "aircraft",
    "train": "train",
    "car": "car",
    "truck": "truck",
    "bicycle": "bicycle",
    "vehicle": "vehicle",
    "musical instrument": "musical instrument",
    "furniture": "furniture",
    "tool": "tool",
    "kitchen utensil": "kitchenware",
    "container": "container",
    "electronic equipment": "electronics",
    "measuring instrument": "measuring tool",
    "clothing": "clothing",
    "garment": "clothing",
    "food": "food",
    "fruit": "fruit",
    "vegetable": "vegetable",
    "plant": "plant",
    "flower": "flower",
    "fungus": "mushroom",
    "mountain": "mountain",
    "geological formation": "landscape",
    "body of water": "water",
    "shore": "coast",
    "natural elevation": "hill",
    "sports equipment": "sport",
    "ball": "ball",
    "timepiece": "clock",
    "weapon": "weapon",
    "toy": "toy",
    "textile": "fabric",
    "optical instrument": "optics",
    "machine": "machine",
}

# Keyword -> keywords that usually occur with it.
CONTEXTS: dict[str, tuple[str, ...]] = {
    "animal": ("wildlife", "nature"),
    "dog": ("pet",),
    "cat": ("pet",),
    "bird": ("wildlife",),
    "fish": ("underwater", "marine life"),
    "insect": ("macro", "nature"),
    "butterfly": ("macro",),
    "building": ("travel",),
    "architecture": ("landmark", "travel"),
    "church": ("religion", "history"),
    "castle": ("history", "tourism"),
    "monument": ("history", "tourism"),
    "bridge": ("city",),
    "food": ("cuisine", "still life"),
    "fruit": ("healthy", "fresh"),
    "plant": ("botany", "garden"),
    "flower": ("spring", "garden"),
    "musical instrument": ("music", "performance"),
    "tool": ("workshop", "craft"),
    "furniture": ("interior",),
    "vehicle": ("transport",),
    "car": ("street",),
    "boat": ("water",),
    "person": ("people",),
    "mountain": ("hiking", "scenery"),
    "landscape": ("scenery",),
    "electronics": ("technology",),
    "kitchenware": ("kitchen", "household"),
    "sport": ("leisure",),
    "clothing": ("fashion",),
    "machine": ("industry",),
    "measuring tool": ("technology",),
}

# Colour keyword -> typical sRGB value.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (200, 30, 35),
    "orange": (235, 130, 35),
    "yellow": (240, 215, 60),
    "green": (70, 140, 50),
    "blue": (50, 105, 190),
    "light blue": (155, 195, 230),
    "purple": (120, 60, 150),
    "pink": (240, 150, 185),
    "brown": (115, 75, 45),
    "beige": (215, 195, 160),
    "black": (18, 18, 18),
    "gray": (128, 128, 128),
    "white": (245, 245, 245),
}

# Detections that are dropped if the classifier is sure of another animal or plant.
CONTRADICTABLE = frozenset(
    {
        "apple",
        "banana",
        "bear",
        "bird",
        "cat",
        "cow",
        "dog",
        "elephant",
        "giraffe",
        "horse",
        "orange",
        "person",
        "sheep",
        "teddy bear",
        "zebra",
    }
)

# ImageNet classes that are places; they need a lower probability than objects.
PLACES = frozenset(
    {
        "alp",
        "barn",
        "beacon",
        "bell cote",
        "boathouse",
        "bookshop",
        "castle",
        "church",
        "cliff",
        "cliff dwelling",
        "coral reef",
        "dam",
        "dome",
        "fountain",
        "geyser",
        "greenhouse",
        "grocery store",
        "hay",
        "lakeside",
        "library",
        "maze",
        "megalith",
        "monastery",
        "mosque",
        "obelisk",
        "palace",
        "patio",
        "picket fence",
        "pier",
        "planetarium",
        "promontory",
        "rapeseed",
        "restaurant",
        "sandbar",
        "seashore",
        "solar dish",
        "stage",
        "steel arch bridge",
        "stone wall",
        "stupa",
        "suspension bridge",
        "theater curtain",
        "triumphal arch",
        "valley",
        "viaduct",
        "volcano",
        "water tower",
        "worm fence",
    }
)

# Keywords that are too specific for a weak classification.
RISKY_GUESSES = frozenset(
    {
        "aircraft",
        "ball",
        "bear",
        "insect",
        "machine",
        "optics",
        "reptile",
        "ship",
        "snake",
        "spider",
        "sport",
        "tool",
        "toy",
        "weapon",
    }
)

# Keywords that suggest an indoor photo.
INDOOR_SIGNS = frozenset(
    {
        "bed",
        "bowl",
        "couch",
        "cup",
        "electronics",
        "furniture",
        "interior",
        "keyboard",
        "kitchenware",
        "laptop",
        "microwave",
        "mouse",
        "oven",
        "refrigerator",
        "sink",
        "table",
        "toilet",
        "tv",
    }
)

# Keywords that suggest an outdoor photo.
OUTDOOR_SIGNS = frozenset(
    {
        "airplane",
        "animal",
        "architecture",
        "bench",
        "boat",
        "bridge",
        "car",
        "castle",
        "church",
        "coast",
        "cow",
        "horse",
        "landscape",
        "monument",
        "mountain",
        "plant",
        "sheep",
        "tower",
        "traffic light",
    }
)

# Words of an instruction that say nothing about a photo.
_STOP_WORDS = """
    a all also among an and any are as at be been by can each else etc for from has have in into is it its like main
    many most no none not of on one only or other others people's photo photograph picture image show shows so some
    such than that the their there these thing things this those to two three four five up use visible what when
    where which who with without word words
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())

# Word of a field's name or description -> keywords that can be its value.
_COLOUR_WORDS = frozenset({*COLOURS, "monochrome"})
MOODS = frozenset({"dramatic", "mysterious", "cheerful", "calm", "lively", "serene", "timeless", "natural"})
_LIGHTS = frozenset({"bright", "dark", "low key", "soft light", "natural light", "high contrast", "sunny", "overcast"})
_PLACES = frozenset({"outdoor", "indoor", "studio", "underwater", "city", "countryside"})
_TIMES = frozenset({"night", "sunset", "sunny", "overcast", "natural light"})
TOPICS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("colour", "color", "hue"), _COLOUR_WORDS),
    **dict.fromkeys(("mood", "feeling", "atmosphere", "emotion"), MOODS),
    **dict.fromkeys(("light", "lighting"), _LIGHTS),
    **dict.fromkeys(("place", "setting", "location", "scene"), _PLACES),
    **dict.fromkeys(("weather", "time", "daytime"), _TIMES),
}

# Keyword -> its words in a sentence, by topic: view, place, surroundings, light, background, mood and composition.
PHRASES: tuple[dict[str, str], ...] = (
    {"close-up": "a close-up of", "panorama": "a wide view of"},
    {"outdoor": "outdoors", "indoor": "indoors", "studio": "in a studio", "underwater": "under water"},
    {"greenery": "among green plants", "clear sky": "under a clear sky", "clouds": "under clouds"},
    {
        "night": "at night",
        "sunset": "at sunset",
        "sunny": "in sunlight",
        "overcast": "in grey weather",
        "low key": "in dim light",
        "bright": "in bright light",
        "soft light": "in soft light",
        "high contrast": "in hard light",
        "natural light": "in natural light",
    },
    {"plain background": "against a plain background", "shallow depth of field": "before a blurred background"},
    {word: f"with a {word} mood" for word in sorted(MOODS - {"natural"})},
    {
        "centered composition": "in the centre",
        "rule of thirds": "to one side",
        "symmetry": "in a symmetrical view",
        "vertical lines": "with vertical lines",
        "horizontal lines": "with horizontal lines",
        "negative space": "with empty space",
        "detailed": "with many details",
        "vertical": "in a vertical format",
        "horizontal": "in a horizontal format",
        "square format": "in a square format",
        "panorama": "in a wide format",
    },
)

# Nouns without an indefinite article.
UNCOUNTABLE = frozenset(
    {"clothing", "electronics", "fabric", "food", "greenery", "kitchenware", "sky", "sport", "water"}
)

# Hypernyms of so many classes that they say nothing about a photo.
TOO_GENERAL = frozenset(
    (
        *("entity", "physical entity", "object", "whole", "organism"),
        *("living thing", "artifact", "instrumentality", "matter", "abstraction"),
        *("chordate", "placental", "vertebrate", "substance", "solid"),
        *("natural object", "causal agent", "part", "commodity", "psychological feature"),
    )
)

# Keyword -> words that mean much the same, for labels and options that the rules do not have.
RELATED: dict[str, tuple[str, ...]] = {
    "person": ("people", "human", "portrait"),
    "greenery": ("forest", "plant", "garden", "tree", "leaf"),
    "sky": ("landscape", "nature"),
    "outdoor": ("countryside", "street"),
    "indoor": ("interior", "room", "home"),
    "architecture": ("building", "city", "town"),
    "building": ("city", "town"),
    "coast": ("beach", "sea"),
    "water": ("sea", "lake", "river"),
    "plain background": ("studio", "isolated"),
    "dramatic": ("serious", "intense"),
    "lively": ("energetic", "dynamic", "playful"),
    "serene": ("peaceful", "romantic"),
    "timeless": ("melancholic", "nostalgic"),
    "natural": ("neutral", "serious"),
    "cheerful": ("happy", "joyful"),
}
