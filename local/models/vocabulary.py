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
