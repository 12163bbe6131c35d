"""Labels of a run as tasks of Label Studio: one task for each image, with its label as a prediction.

Formats: "Import pre-annotated data into Label Studio" (https://labelstud.io/guide/predictions), and the pages of the
tags Choices, TextArea and Number under https://labelstud.io/tags.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from xml.etree import ElementTree

from distillation.answers.formats.base import Format, FormInput
from distillation.plain_text import clean, clean_line
from distillation.records import AnswerLine

IMAGE_TAG = "photo"
"""Name of the tag that shows the image. No field of a prompt may have it; see ``fields.RESERVED_NAMES``."""
_OPTIONS_SHOWN = 20
"""Options of a choice that are shown as buttons; more are in a menu."""
_TAGS: Mapping[str, tuple[str, Mapping[str, str]]] = MappingProxyType(
    {
        "text": ("TextArea", {"editable": "true", "maxSubmissions": "1", "rows": "3"}),
        "items": ("TextArea", {"editable": "true", "skipDuplicates": "true"}),
        "number": ("Number", {}),
        "choice": ("Choices", {"choice": "single"}),
        "choices": ("Choices", {"choice": "multiple"}),
    }
)
"""Tag and its settings, keyed by kind of input."""
_VALUE_NAMES: Mapping[str, str] = MappingProxyType({"TextArea": "text", "Number": "number", "Choices": "choices"})
"""Key of the value of a result, keyed by tag."""


def labelling_config(answer_format: Format) -> str:
    """Return the labelling configuration of a project: the image, and below it the inputs of the answer."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name=IMAGE_TAG, value="$image", zoom="true")
    for each in answer_format.form_inputs():
        ElementTree.SubElement(view, "Header", value=clean_line(each.name))
        tag, settings = _TAGS[each.kind]
        layout = {"layout": "select"} if len(each.options) > _OPTIONS_SHOWN else {}
        names = {"name": tag_name(each), "toName": IMAGE_TAG}
        element = ElementTree.SubElement(view, tag, {**names, **settings, **layout})
        for option in each.options:
            ElementTree.SubElement(element, "Choice", value=clean_line(option))
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def labelling_task(
    answer_format: Format, image: str, url: str, facts: Mapping[str, str], label: AnswerLine | None, model: str
) -> dict[str, Any]:
    """Return the task of an image; without a prediction if it has no valid label.

    ``facts`` are further columns of the task, and ``model`` names who labelled.
    """
    task: dict[str, Any] = {"data": {"image": url, **facts}}
    if label and label.status == "ok":
        prediction: dict[str, Any] = {"model_version": model, "result": _results(answer_format, image, label)}
        if label.disagreement is not None:
            prediction["score"] = round(1 - label.disagreement, 4)
        task["predictions"] = [prediction]
    return task


def tag_name(form_input: FormInput) -> str:
    """Return the name of an input's tag: the input's, with underscores for other characters."""
    return re.sub(r"\W+", "_", form_input.name)


def _results(answer_format: Format, image: str, label: AnswerLine) -> list[dict[str, Any]]:
    contents = answer_format.form_contents(answer_format.parse(label.text or ""))
    results: list[dict[str, Any]] = []
    for each in answer_format.form_inputs():
        if content := contents.get(each.name):
            tag, _ = _TAGS[each.kind]
            texts = [clean(item) if isinstance(item, str) else item for item in content]
            results.append(
                {
                    "id": f"{image[:24]}-{len(results)}",
                    "type": tag.lower(),
                    "from_name": tag_name(each),
                    "to_name": IMAGE_TAG,
                    "value": {_VALUE_NAMES[tag]: texts[0] if tag == "Number" else texts},
                }
            )
    return results
