"""Forms in which keywords are compared, so that ``Red-Cars`` and ``red car`` are one keyword."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pluralizer import Pluralizer

_NO_PLURALS = """
    abs achilles acoustics acropolis adams adidas aerobics aesthetics afterwards aircraft alms alps always amends
    andes angeles antics apparatus apropos arkansas as asbestos athens athletics aws axis bacteria bahamas balkans
    barbados barracks basis bermudas bias biceps billiards binoculars bliss boxers briefs brussels bus cannabis
    canvas ceramics chaos charles chassis chess chinos chris christmas citrus clematis clothes compass corps
    cosmetics cosmos crossroads cyclops cyprus dallas das data davis debris des dolores dos downstairs dungarees
    dynamics economics electronics ethics ethos evans eyeglasses forceps gallows gas genetics glass goggles gps
    graphics grass gymnastics hans headquarters hercules hermes himalayas honduras hopkins hummus ibis indoors ios
    iris italics james jeans jesus jones kansas khakis kinetics knickers kudos laos las leggings lens les levis
    linguistics logistics logos los lotus louis lucas maldives mantis mars mathematics means measles mechanics media
    mercedes mes metropolis molasses moses ms mumps naples necropolis netherlands news nicolas oasis olympics optics
    orleans outdoors overalls overseas pajamas pancreas pants paralympics paris pathos pelvis philippines physics
    plus polis politics proceeds pyjamas pyrenees quadriceps rabies rhinoceros rickets robotics rockies rogers
    scissors series seychelles shambles shears shorts slacks sms socrates sos species spectacles statistics status
    suds sunglasses sweatpants swiss tactics tapas tennis tetris texas thanks thermos thomas tights tongs trellis
    triceps trousers tweezers underpants upstairs us usps venus virus wales whereas williams yes
"""
NEVER_SINGULARISED = frozenset(_NO_PLURALS.split())
"""Words with the form of a plural that are no plural, or whose singular is another word."""
IRREGULAR_PLURALS = {"lenses": "lens", "selfies": "selfie", "hoodies": "hoodie", "buses": "bus", "dominoes": "domino"}
"""Plurals that the library reads wrongly."""


_HYPHENS_AND_UNDERSCORES = str.maketrans(dict.fromkeys("-_‐‑‒–—―−⁃", " "))


# Answers about one collection repeat the same keywords.
@lru_cache(maxsize=50_000)
def normalised_keyword(keyword: str) -> str:
    """Return a keyword as written in its normalised form: case folded, with one space for hyphens and spaces."""
    words = keyword.casefold().translate(_HYPHENS_AND_UNDERSCORES).split()
    return " ".join(words) or keyword


@lru_cache(maxsize=100_000)
def singular(keyword: str) -> str:
    """Return a keyword with its last word in the singular, such as ``red car`` for ``red cars``.

    Words of ``NEVER_SINGULARISED``, possessives and words with a digit, such as ``1960s``, stay as they are.
    """
    before, space, word = keyword.rpartition(" ")
    if word in NEVER_SINGULARISED or word.endswith(("'s", "s'")) or any(map(str.isdigit, word)):
        return keyword
    if word in IRREGULAR_PLURALS:
        return f"{before}{space}{IRREGULAR_PLURALS[word]}"
    return _pluralizer().singular(keyword)


@cache
def _pluralizer() -> Pluralizer:
    # Steps that only count keywords start without the library, whose import takes 25 ms.
    from pluralizer import Pluralizer

    return Pluralizer()
