"""Labels of a run as chat datasets with an image folder, for training of open-weights models.

Formats: "Vision datasets" in "Dataset formats and types", TRL (https://huggingface.co/docs/trl/dataset_formats), and
"Sharegpt Format" in data/README.md of LLaMA-Factory (https://github.com/hiyouga/LLaMA-Factory).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from distillation.records import Prompt

LLAMA_FACTORY_FOLDER = "llama-factory"
_MEDIA_TAG = re.compile(r"<(?=(?:image|video|audio)>)")
"""Start of a tag that LLaMA-Factory replaces by the medium in ``images``, whoever wrote it."""


def trl_record(prompt: Prompt, image: str, answer: str) -> dict[str, Any]:
    """Return an example in the conversational vision format of TRL; ``image`` is the path of the image."""
    return {
        "images": [image],
        "messages": [
            {"role": "system", "content": [_text(prompt.system)]},
            {"role": "user", "content": [{"type": "image"}, _text(prompt.user)]},
            {"role": "assistant", "content": [_text(answer)]},
        ],
    }


def llama_factory_record(prompt: Prompt, image: str, answer: str) -> dict[str, Any]:
    """Return an example in LLaMA-Factory's form of the OpenAI format.

    The messages must have as many ``<image>`` tags as the example has images, so a tag in a text gets a space.
    """
    system, user, answer = (_MEDIA_TAG.sub("< ", text) for text in (prompt.system, prompt.user, answer))
    return {
        "messages": [
            {"role": "system", "content": system},
            {"role": "user", "content": f"<image>{user}"},
            {"role": "assistant", "content": answer},
        ],
        "images": [image],
    }


def dataset_info(names: Iterable[str]) -> dict[str, Any]:
    """Return the content of ``dataset_info.json``: where LLaMA-Factory finds each set, and how to read it."""
    return {
        f"distill_{name}": {
            "file_name": f"{LLAMA_FACTORY_FOLDER}/{name}.jsonl",
            "formatting": "sharegpt",
            "columns": {"messages": "messages", "images": "images"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
                "system_tag": "system",
            },
        }
        for name in names
    }


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}
