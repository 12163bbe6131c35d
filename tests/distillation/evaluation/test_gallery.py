"""Cards of the gallery, as the page shows them."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from PIL import Image

from distillation.answers.formats import Format
from distillation.evaluation.evaluation import Evidence, evaluate
from distillation.evaluation.gallery import MAXIMUM_PICTURES, PICTURES_CHARACTERS, Picture, thumbnail
from distillation.evaluation.html_report import render
from tests.distillation.evaluation.answers import answer, any_evidence
from tests.distillation.evaluation.test_html_report import CAPTION, CLASSES, FIELDS, any_page, evidence_of


def card_of(evidence: Evidence, image: str = "i0") -> str:
    """Return the text of an image's card: a mark is in square brackets, and every other tag is a space."""
    picture = Picture(image=image, name=f"{image}.jpg", source=None, label=evidence.labels[image])
    page = render(any_page(evaluate(evidence), evidence.answer_format), [picture])
    start = page.index('<div class="card">')
    card = re.sub(r"<mark.*?spoken.>(.*?)</span>(.*?)</mark>", r"[\1\2]", page[start : page.index("</li>", start)])
    return " ".join(re.sub(r"<.*?>", " ", card).split())


def test_card_has_the_label_the_tuned_answer_and_the_base_answer_side_by_side() -> None:
    card = card_of(any_evidence("cat, thing {}, tree"), "i3")

    assert card == (
        "i3.jpg 0.00 → to 0.40 &nbsp; +0.40 gained Teacher cat, sofa, thing 3, colour 3 "
        "Tuned on 8 Shared cat, thing 3 Missed colour 3, sofa Extra tree "
        "Base Missed cat, colour 3, sofa, thing 3 Extra dog, sea, sky"
    )


def test_answer_with_the_keywords_of_the_label_is_the_same() -> None:
    card = card_of(any_evidence("colour 3, thing {}, sofa, cat"), "i3")

    assert "Tuned on 8 Same as the teacher Base" in card


def test_card_escapes_the_name_of_the_photo() -> None:
    picture = Picture(image="i3", name='"><b>3</b>.jpg', source="data:,", label=any_evidence().labels["i3"])
    page = render(any_page(evaluate(any_evidence())), [picture])

    assert page.count("&#34;&gt;&lt;b&gt;3&lt;/b&gt;.jpg") == 3
    assert "<b>3" not in page


def test_card_of_an_invalid_answer_has_its_reason_and_its_text() -> None:
    evidence = any_evidence()
    prose = answer("A <cat> on a sofa.", status="refused", image="i3").model_copy(update={"reason": "it is prose"})
    card = card_of(replace(evidence, tuned={"n8": {**evidence.tuned["n8"], "i3": prose}}), "i3")

    assert "Tuned on 8 Not valid, scores 0: it is prose A &lt;cat&gt; on a sofa. Base" in card


def test_captions_have_differing_words_marked_and_listed() -> None:
    label, base = "A brown dog runs along the beach.", "A <b>boat</b> at sea."
    card = card_of(evidence_of(CAPTION, label, base, "A black dog runs along the Beach"))

    assert "Teacher A brown dog runs along the beach. Tuned on 8 A [extra: black] dog runs along the Beach" in card
    assert "Beach Missed brown Extra black Base A [extra: &lt;b&gt;boat&lt;/b&gt; at sea.]" in card


def test_class_is_the_same_as_the_class_of_the_teacher_or_different() -> None:
    card = card_of(evidence_of(CLASSES, "people", "boats", "people"))

    assert "Teacher people Tuned on 8 people Same as the teacher Base [extra: boats] Different" in card


def test_fields_are_a_table_with_differences_marked() -> None:
    label = '{"subject": "brown dog", "colours": ["red", "blue"], "people": 0}'
    card = card_of(evidence_of(FIELDS, label, '{"people": 0}', '{"subject": "dog", "colours": ["red"], "people": 0}'))

    assert card.partition("Field ")[2] == (
        "Teacher Tuned on 8 Base "
        "subject brown dog [missed: brown dog], [extra: dog] [missed: brown dog] "
        "colours red, blue red, [missed: blue] [missed: red], [missed: blue] "
        "people 0 0 0"
    )


@pytest.mark.parametrize(
    ("answer_format", "label"),
    [(CAPTION, "A brown dog runs."), (CLASSES, "people"), (FIELDS, '{"subject": "dog", "people": 0}')],
    ids=["caption", "class", "fields"],
)
def test_card_with_an_invalid_answer_has_nothing_marked(answer_format: Format, label: str) -> None:
    evidence = evidence_of(answer_format, label, label, label)
    refused = {name: answer("{}", status="refused", image=name) for name in evidence.labels}
    card = card_of(replace(evidence, tuned={"n8": refused}))

    assert "Not valid, scores 0:" in card
    assert "Teacher" in card
    assert "[" not in card


def test_labels_to_check_have_the_label_or_why_there_is_none() -> None:
    label = answer('{"subject": "dog", "colours": [], "people": 2}', image="i0")
    page = render(any_page(None, FIELDS), [Picture(image="i0", name="0", source=None, label=label)])
    refused = answer("Sorry", status="refused").model_copy(update={"reason": "is a refusal"})
    captions = [answer("A brown dog runs.", image="i0"), refused]
    page_of_captions = render(any_page(None, CAPTION), [Picture(line.image, "0", None, line) for line in captions])

    assert re.search(r'<th scope="row">people</th>\s*<td>2</td>\s*</tr>', page)
    assert "<p>A brown dog runs.</p>" in page_of_captions
    assert '<p class="invalid"><b>Set aside:</b> is a refusal</p>' in page_of_captions
    assert filters(page_of_captions) == {"All": 2, "Set aside": 1, "Flagged": 0}


def filters(page: str) -> dict[str, int]:
    """Return the number of images of each filter."""
    return {name: int(images) for name, images in re.findall(r"<button [^>]*data-filter.*?>(.*) (\d+)</button>", page)}


def test_filters_count_the_images_that_gained_lost_are_invalid_or_flagged() -> None:
    evidence = evidence_of(CLASSES, "people", "boats", "people")
    assert evidence.base is not None
    refused = answer(None, status="refused", image="i1")
    changed = replace(
        evidence,
        base={**evidence.base, "i0": answer("people", image="i0"), "i2": answer("people", image="i2")},
        tuned={"n8": {**evidence.tuned["n8"], "i0": answer("boats", image="i0"), "i1": refused}},
    )
    pictures = [
        Picture(image, image, None, line, flags=("odd_aspect", "dark") if image == "i4" else ())
        for image, line in evidence.labels.items()
    ]
    page = render(any_page(evaluate(changed), CLASSES), pictures)

    assert filters(page) == {"All": 6, "Gained": 3, "Lost": 1, "Invalid": 1, "Flagged": 1}
    assert re.findall(r'data-kinds="(.*?)"', page) == ["lost", "invalid", "", "gained", "gained flagged", "gained"]
    assert "Flagged: odd aspect, dark." in page
    without_base = render(any_page(evaluate(replace(changed, base=None)), CLASSES), pictures)
    assert filters(without_base) == {"All": 6, "Invalid": 1, "Flagged": 1}


def test_gallery_says_how_many_images_it_leaves_out() -> None:
    evidence = any_evidence()
    pictures = [Picture(image, image, None, line) for image, line in evidence.labels.items()]

    assert "The gallery has 3 of the 24 images." in render(any_page(evaluate(evidence)), pictures[:3])
    assert "The gallery has" not in render(any_page(evaluate(evidence)), pictures)


def jpeg_of(size: tuple[int, int], *, noise: bool = False) -> bytes:
    """Return a black JPEG, or one of noise, which cannot be compressed."""
    count = 3 * size[0] * size[1]
    output = io.BytesIO()
    Image.frombytes("RGB", size, Random(1).randbytes(count) if noise else bytes(count)).save(output, "JPEG", quality=90)
    return output.getvalue()


def side_of(source: str | None) -> int:
    assert source is not None
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as image:
        return max(image.size)


@pytest.mark.parametrize("size", [(900, 600), (600, 900), (100, 50)], ids=["wide", "high", "small"])
def test_picture_is_at_most_640_pixels_wide_and_high_and_never_enlarged(size: tuple[int, int]) -> None:
    assert side_of(thumbnail(jpeg_of(size), 1)) == min(640, max(size))


def test_pictures_become_smaller_until_all_fit_the_page() -> None:
    jpeg = jpeg_of((1024, 768), noise=True)
    sources = [thumbnail(jpeg, pictures) or "" for pictures in (1, 100, 200, MAXIMUM_PICTURES)]

    assert all(len(source) <= 80_000 for source in sources)
    assert len(sources[-1]) * MAXIMUM_PICTURES <= PICTURES_CHARACTERS
    assert all(side_of(more) <= side_of(fewer) for fewer, more in pairwise(sources))
    assert side_of(sources[-1]) < side_of(sources[0])


def test_damaged_picture_is_left_out() -> None:
    assert thumbnail(b"no JPEG", 1) is None


def test_page_with_500_pictures_of_noise_is_smaller_than_12_mb() -> None:
    evidence = any_evidence(", ".join(f"long keyword {number}" for number in range(25)), images=MAXIMUM_PICTURES)
    source = thumbnail(jpeg_of((1024, 768), noise=True), MAXIMUM_PICTURES)
    pictures = [Picture(image, f"{image}.jpg", source, line) for image, line in evidence.labels.items()]
    page = render(any_page(evaluate(evidence)), pictures)

    assert page.count("data:image/jpeg;base64,") == MAXIMUM_PICTURES
    assert len(page.encode()) < 12_000_000
