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
        ('{"a": "a cat sleeps on a sofa beside a window"}', ""),
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
        ('{"animal": "cat"}', None),
        ('{"animals": NaN}', None),
        ('["\ud800"]', None),
        ("[" * 100_000, "cut_off_label"),
    ],
)
def test_label_problem_is_found_in_the_text(label: str, rule: str | None) -> None:
    problem = label_problem(label, label_form(label))

    assert (problem[0] if problem else None) == rule
