"""Charts of the report as SVG. Their colours are CSS variables of the page, so that they follow light and dark mode."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

# matplotlib writes a font cache, and on Lambda only /tmp is writable.
os.environ.setdefault("MPLCONFIGDIR", "/tmp/matplotlib")

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from distillation.documents import Curve, Loss, ScoresByRole
from distillation.records import size_of

_INK, _SOFT, _LINE, _BASE = "#010101", "#020202", "#030303", "#040404"
_TUNED = ("#050505", "#060606", "#070707", "#080808")
_VARIABLES = {
    _INK: "--ink",
    _SOFT: "--soft",
    _LINE: "--line",
    _BASE: "--base",
    **{colour: f"--tuned-{place}" for place, colour in enumerate(_TUNED, 1)},
}
"""Placeholder colours that matplotlib draws with, and the CSS variable that replaces each."""
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": _LINE,
    "axes.facecolor": "none",
    "axes.labelcolor": _SOFT,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.size": 12,
    "legend.frameon": False,
    "legend.labelcolor": _INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "vision-distillation",
    "text.color": _INK,
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}
mpl.rcParams.update(_STYLE)
Series = Mapping[str, Sequence[float]]


def display_name(answerer: str) -> str:
    """Return an answerer's name for readers, such as ``tuned on 30`` for ``n30``."""
    size = size_of(answerer)
    return answerer if size is None else f"tuned on {size}"


def distribution_chart(base: Sequence[float] | None, tuned: Series) -> str:
    """Return overlaid histograms of the agreement of base and every tuned model, with their means."""
    series = {**({"base": base} if base is not None else {}), **tuned}
    colours = _colours(tuned)
    figure, axes = _figure()
    for answerer, values in series.items():
        bins = [step / 20 for step in range(21)]
        colour = colours[answerer]
        # Fill only base and the largest size, which the verdict compares; draw the others as outlines.
        if answerer in ("base", next(reversed(series))):
            axes.hist(values, bins=bins, color=colour, histtype="stepfilled", alpha=0.18)
        axes.hist(values, bins=bins, color=colour, histtype="step", linewidth=1.8, label=display_name(answerer))
        axes.axvline(sum(values) / len(values), color=colour, linestyle=(0, (4, 3)), linewidth=1.2)
    axes.set(xlim=(0, 1), xlabel="agreement with the teacher", ylabel="test images")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    return _svg(figure, "distributions")


def change_chart(base: Sequence[float], tuned: Sequence[float], answerer: str) -> str:
    """Return a scatter plot of the test images, base on x and the tuned model on y: points above the line gained."""
    figure, axes = _figure()
    axes.plot([0, 1], [0, 1], color=_LINE, linewidth=1)
    axes.scatter(base, tuned, s=26, color=_TUNED[0], alpha=0.6, linewidths=0)
    top = min(1.02, max([*base, *tuned, 0.2]) * 1.08)
    axes.set(xlim=(-0.02, top), ylim=(-0.02, top), xlabel="base", ylabel=display_name(answerer))
    axes.text(0.03, 0.95, "gained", transform=axes.transAxes, color=_SOFT, va="top")
    axes.text(0.97, 0.05, "lost", transform=axes.transAxes, color=_SOFT, ha="right")
    return _svg(figure, "changes")


def outcome_chart(base: Sequence[float], tuned: Sequence[float], answerer: str) -> str:
    """Return bars of the test images by outcome, for answers that are right (1) or wrong (0)."""
    names = {
        (1, 1): "both right",
        (0, 1): f"only {display_name(answerer)} right",
        (1, 0): "only base right",
        (0, 0): "both wrong",
    }
    outcomes = list(zip(map(int, base), map(int, tuned), strict=True))
    counts = [outcomes.count(outcome) for outcome in names]
    figure, axes = _figure()
    bars = axes.barh(list(names.values()), counts, color=(_SOFT, _TUNED[0], _BASE, _LINE), height=0.6)
    axes.bar_label(bars, padding=4, color=_INK)
    axes.invert_yaxis()
    axes.set(xlabel="test images", xlim=(0, 1.08 * max(counts)))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _svg(figure, "outcomes")


def scaling_chart(agreement: ScoresByRole, curve: Curve | None) -> str:
    """Return the score by training size between floor, control and ceiling, with the fitted curve if there is one."""
    sizes = sorted((size_of(name) or 0, score) for name, score in agreement.tuned.items())
    levels = sorted((score.mean, name) for name, score in agreement.by_name.items())
    highest = max(score.mean for score in (agreement.ceiling or agreement.control, *agreement.tuned.values()) if score)
    figure, axes = _figure()
    _draw_levels(axes, levels, highest)
    if curve:
        at = [point.size for point in curve.line]
        low, high = zip(*(point.ci95 for point in curve.line), strict=True)
        axes.fill_between(at, low, high, color=_TUNED[0], alpha=0.12, linewidth=0)
        axes.plot(at, [point.mean for point in curve.line], color=_TUNED[0], linewidth=1.4)
    errors = [[score.mean - score.low for _, score in sizes], [score.high - score.mean for _, score in sizes]]
    across = [size for size, _ in sizes]
    means = [score.mean for _, score in sizes]
    axes.errorbar(across, means, yerr=errors, fmt="o", color=_TUNED[0], markersize=6, linewidth=1.6)
    axes.set_xscale("log", base=2)
    ticks = [*across, curve.next_size] if curve else across
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlim(min(ticks) / 1.3, max(ticks) * 1.3)
    axes.minorticks_off()
    axes.set(xlabel="training images", ylabel="agreement", ylim=(0, None))
    return _svg(figure, "scaling")


def _draw_levels(axes: Axes, levels: Sequence[tuple[float, str]], highest: float) -> None:
    """Draw a named horizontal line at each height, and move apart the names of lines that nearly meet.

    ``highest`` is the highest score of the chart.
    """
    label_height = -1.0
    for height, name in levels:
        colour = _BASE if name == "base" else _SOFT
        axes.axhline(height, color=colour, linewidth=1, linestyle=(0, (4, 3)))
        label_height = max(height, label_height + 0.075 * highest)
        place = {"xy": (1.01, label_height), "xycoords": ("axes fraction", "data")}
        axes.annotate(name, **place, color=colour, va="center", fontsize=11)


def loss_chart(training: Mapping[str, Sequence[Loss]], validation: Mapping[str, Sequence[Loss]]) -> str | None:
    """Return the loss of every job over its steps, validation dashed; None if there is no loss."""
    colours = _colours(training)
    figure, axes = _figure()
    for kind, by_size, line in (("training", training, "-"), ("validation", validation, "--")):
        for size, losses in by_size.items():
            if losses:
                points = [(loss.step, loss.loss) for loss in losses]
                label = f"{size} images, {kind}"
                axes.plot(*zip(*points, strict=True), line, color=colours[size], label=label, linewidth=1.6)
    if not axes.lines:
        return None
    axes.set(xlabel="step", ylabel="loss", ylim=(0, None))
    axes.legend()
    return _svg(figure, "losses")


def _colours(tuned: Mapping[str, Any]) -> dict[str, str]:
    """Return a colour by answerer or size; the last one, the largest size, gets the strongest."""
    names = list(tuned)[::-1]
    return {name: _TUNED[place % len(_TUNED)] for place, name in enumerate(names)} | {"base": _BASE}


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.2, 3.3), layout="constrained")
    return figure, figure.subplots()


def _svg(figure: Figure, prefix: str) -> str:
    output = io.StringIO()
    # savefig would draw the figure twice, because of its layout.
    FigureCanvasSVG(figure).print_svg(output, metadata={"Date": None})
    text = output.getvalue()
    text = text[text.index("<svg") :]
    # Ids are unique within one chart only, and the page has several.
    text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{prefix}-", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
