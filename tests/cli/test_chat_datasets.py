from __future__ import annotations

from cli.chat_datasets import dataset_info, llama_factory_record, trl_record
from distillation.records import Prompt

PROMPT = Prompt(system="You index photographs.", user="Write keywords.")


def test_trl_record_has_the_image_and_contents_that_are_all_lists_of_typed_parts() -> None:
    assert trl_record(PROMPT, "images/a.jpg", "cat, sofa") == {
        "images": ["images/a.jpg"],
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "You index photographs."}]},
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Write keywords."}]},
            {"role": "assistant", "content": [{"type": "text", "text": "cat, sofa"}]},
        ],
    }


def test_llama_factory_record_has_one_image_tag_for_its_image() -> None:
    assert llama_factory_record(PROMPT, "images/a.jpg", "cat, sofa") == {
        "messages": [
            {"role": "system", "content": "You index photographs."},
            {"role": "user", "content": "<image>Write keywords."},
            {"role": "assistant", "content": "cat, sofa"},
        ],
        "images": ["images/a.jpg"],
    }


def test_media_tags_in_texts_are_not_tags_of_llama_factory() -> None:
    prompt = Prompt(system="<video> or <audio>", user="What does <image> show? <b>")
    record = llama_factory_record(prompt, "a.jpg", "an <image> of a cat")

    assert [message["content"] for message in record["messages"]] == [
        "< video> or < audio>",
        "<image>What does < image> show? <b>",
        "an < image> of a cat",
    ]


def test_dataset_info_describes_each_set_as_messages_with_images() -> None:
    info = dataset_info(["train", "test"])

    assert list(info) == ["distill_train", "distill_test"]
    assert info["distill_train"] == {
        "file_name": "llama-factory/train.jsonl",
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
