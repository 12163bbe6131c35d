"""What the figures mean: a sentence for whoever decides, the worth of more images, and of the student."""

from __future__ import annotations

from typing import Any


def verdict(report: dict[str, Any], until: str | None = None) -> str:
    """Return the verdict: what came of it, how sure that is, and what was decided."""
    if not report.get("jaccard"):
        return f"Stopped after {until}, as asked; nothing was trained."
    means, gate = report["jaccard"], report.get("gate")
    if not gate:
        name, score = next(iter(means["tuned"].items()))
        return f"The {name} agrees with the teacher at a Jaccard index of {score['mean']:.2f}."
    size = gate["best"].removeprefix("n")
    low, high = gate["gain"]["ci95"]
    subject = f"Trained on {size} images, the student agrees" if size.isdigit() else "The student agrees"
    change = (
        f"{subject} with the teacher at a Jaccard index of "
        f"{means['tuned'][size]['mean']:.2f}; before training it was {means['base']['mean']:.2f} "
        f"(difference {gate['gain']['mean']:+.2f}, 95 % interval {low:+.2f} to {high:+.2f})."
    )
    if gate["passed"]:
        not_kept = "it passes the gate, and nothing is kept, as asked"
        decided = "promoted" if gate["promoted"] else not_kept if report.get("models") else "it passes the gate"
        return f"{change} That is a sure gain, and more than the commonest keywords give: {decided}."
    decided = "Not promoted" if report.get("models") else "It does not pass the gate"
    return f"{change} {decided}, because {'; and '.join(gate['reasons'])}."


def doubling(report: dict[str, Any]) -> dict[str, Any] | None:
    """Return gain and price of twice the largest size that was trained: ``{size, gain, usd}``; None without a curve."""
    curve = report.get("curve")
    if not curve:
        return None
    entries = report["ledger"]["entries"]
    trained = [entry for entry in entries if entry["step"] == "TrainModels"]
    sizes = [model["size"] for model in report["models"] if model["status"] == "Active"]
    largest = max(sizes)
    training = sum(entry["usd"] for entry in trained) / sum(sizes) * 2 * largest
    labels = (report.get("serving", {}).get("teacher", {}).get("usd_per_1000") or 0.0) / 1000 * largest
    labels *= report["samples_per_image"]
    return {"size": curve["next_size"], "gain": curve["gain"], "usd": training + labels}


def money(report: dict[str, Any]) -> dict[str, Any]:
    """Return spent and estimated dollars by step, and the images after which the run has paid for itself.

    A step is ``confirmed`` unless the price of a model in it was found in no official copy; ``spent`` is None for
    services, which only the account's bill tells. ``break_even_images`` is None where teacher and student cost the
    same, or were not both asked.
    """
    estimated = report["estimate"].get("by_step", {})
    spent: dict[str, float] = {}
    for entry in report["ledger"]["entries"]:
        spent[entry["step"]] = spent.get(entry["step"], 0.0) + entry["usd"]
    unconfirmed = {entry["step"] for entry in report["ledger"]["entries"] if not entry["confirmed"]}
    unconfirmed |= {step for step, amount in estimated.items() if not amount["confirmed"]}
    steps = list(dict.fromkeys([*estimated, *spent]))
    serving = report.get("serving", {})
    prices = [serving.get(name, {}).get("usd_per_1000") for name in ("teacher", "base")]
    saved = (prices[0] - prices[1]) / 1000 if None not in prices else 0.0
    return {
        "by_step": [
            {"step": s, "estimated": estimated.get(s), "spent": spent.get(s), "confirmed": s not in unconfirmed}
            for s in steps
        ],
        "break_even_images": round(report["usd"] / saved) if saved > 0 else None,
    }
