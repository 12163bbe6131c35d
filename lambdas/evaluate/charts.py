"""The report's charts, as SVG without fixed background, legible on light and on dark."""

from __future__ import annotations

import io
import os
from typing import Any

# Lambda's file system is read-only but for /tmp, and matplotlib keeps a cache of fonts.
os.environ.setdefault("MPLCONFIGDIR", "/tmp/matplotlib")

import matplotlib as mpl
from matplotlib.figure import Figure

GREY = "#808890"
_COLOURS = ("#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#f0e442")
"""Distinguishable with any kind of colour vision (Okabe and Ito)."""
_BASE_COLOUR = "#d55e00"
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 11,
    "legend.frameon": False,
    "legend.labelcolor": GREY,
    "svg.fonttype": "none",
    "svg.hashsalt": "vision-distillation",
    "xtick.color": GREY,
    "ytick.color": GREY,
}


def distributions(per_image: dict[str, list[Any]]) -> str:
    """Return the distributions of the Jaccard index of base and every size, overlaid."""
    tuned = [name for name in per_image if name.startswith("n")]
    colours = dict(zip(tuned, _COLOURS * 2, strict=False)) | {"base": _BASE_COLOUR}
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.6, 3.4), layout="constrained")
        axes = figure.subplots()
        bins = [step / 20 for step in range(21)]
        for name in ("base", *tuned):
            label = "base" if name == "base" else f"tuned on {name.removeprefix('n')}"
            values = per_image[name]
            axes.hist(values, bins=bins, color=colours[name], alpha=0.35, label=label)
            axes.hist(values, bins=bins, color=colours[name], histtype="step", linewidth=1.8)
            axes.axvline(sum(values) / len(values), color=colours[name], linestyle="--")
        axes.set(xlim=(0, 1), xlabel="Jaccard index with the teacher", ylabel="test images")
        axes.legend()
        return _svg(figure)


def losses(training_loss: dict[str, list[dict[str, float]]]) -> str:
    """Return the training loss of every job over its steps."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.6, 2.8), layout="constrained")
        axes = figure.subplots()
        for (size, steps), colour in zip(training_loss.items(), _COLOURS * 2, strict=False):
            points = [(row["step"], row["loss"]) for row in steps]
            if points:
                axes.plot(*zip(*points, strict=True), color=colour, label=f"tuned on {size}")
        axes.set(xlabel="step", ylabel="training loss")
        if axes.lines:
            axes.legend()
        return _svg(figure)


def _svg(figure: Figure) -> str:
    output = io.StringIO()
    figure.savefig(output, format="svg", transparent=True, metadata={"Date": None})
    text = output.getvalue()
    return text[text.index("<svg") :]
