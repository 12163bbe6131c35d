from __future__ import annotations

import pytest

from distillation.dataset.label_quality import label_form, label_problem


@pytest.mark.parametrize(
    ("label", "form"),
    [
        ("cat, sofa, window", "list"),
        ("cat\nsofa\nwindow", "list"),
        ("猫、沙发、窗户", "list"),
        ("A cat sleeps on a sofa beside a window.", "prose"),
        ('{"a": "a cat sleeps on a sofa beside a window"}', "object"),
        ('{"a": "cat", "b": "sofa", "c": "window"}', "object"),
        ("cat", ""),
    ],
)
def test_label_form_depends_on_separators_and_words(label: str, form: str) -> None:
    assert label_form(label) == form


@pytest.mark.parametrize(
    ("label", "rule"),
    [
        (" - ", "blank_label"),
        ("N/A", "blank_label"),
        ("I cannot identify people in images.", "refused_label"),
        ("I cannot help, sorry, really", "refused_label"),
        ("cat, sofa,", "cut_off_label"),
        ("A cat sleeps on the", "cut_off_label"),
        ("cat (black", "cut_off_label"),
        ('{"animal": "cat"', "cut_off_label"),
        ("cat, sofa, window", None),
        ("none", None),
        ("On", None),
        ("a", None),
        ('{"place": "none", "colours": ["blue", "dark green"], "people": 0}', None),
        ("A woman in a red coat, with a dog, walks along the coast in the evening.", None),
        ('{"animal": "cat"}', None),
        ('{"animals": NaN}', None),
        ('["\ud800"]', None),
        ("[" * 100_000, "cut_off_label"),
    ],
)
def test_label_problem_is_found_in_the_text(label: str, rule: str | None) -> None:
    problem = label_problem(label, label_form(label))

    assert (problem[0] if problem else None) == rule


QUESTION = ["You inspect parts.", "s3://data/images/900/todo.jpg", "Answer with one label:\n- N/A: no part\n- C++\n- A"]


@pytest.mark.parametrize(
    ("label", "rule"),
    [
        ("N/A", None),
        ("C++", None),
        ("A", None),
        ("na", "blank_label"),
        ("todo", "blank_label"),
        ("C/", "cut_off_label"),
        ("-", "blank_label"),
        (" ", "blank_label"),
    ],
)
def test_answer_that_the_question_names_is_no_placeholder_and_not_cut_off(label: str, rule: str | None) -> None:
    problem = label_problem(label, label_form(label), QUESTION)

    assert (problem[0] if problem else None) == rule
