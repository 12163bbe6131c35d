"""``distill watch RUN``: a live tree of a run's states with counts, tokens, dollars and time left."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from cli.console import on_a_terminal, say, warn
from cli.progress import Observer, Progress, State
from cli.stage import Stage, unknown_run
from distillation import keys
from distillation.storage import Bucket

POLL_SECONDS = 2.0
CLAIM_SECONDS = 60.0
_NESTED = {"SizeTrained": "trained", "SizeFailed": "failed"}


def watch_run(run: str, stage: Stage, as_json: bool) -> bool:
    """Show a run until it ends; return whether it ended well. Ctrl-C leaves the run alone. Raises ``Refused``."""
    observer = Observer(run, execution_of(run, stage.data, CLAIM_SECONDS), stage.client("stepfunctions"), stage.data)
    try:
        ended = follow(observer.look, POLL_SECONDS, as_json=as_json)
    except KeyboardInterrupt:
        warn(f"the run goes on; to see it again: distill watch {run} --stage {stage.name}")
        raise
    return not ended.failed


def execution_of(run: str, data: Bucket, patience: float) -> str:
    """Return the execution that has a run, or to which Prepare refused it; raises ``Refused``.

    One that was just started is waited for until it claims its run, or says why it does not.
    """
    deadline = time.monotonic() + patience
    if _claim(run, data) is None:
        warn(f"waiting for {run} to begin")
    while (body := _claim(run, data)) is None:
        if time.monotonic() > deadline:
            raise unknown_run(run, data)
        time.sleep(min(1.0, patience / 10))
    return json.loads(body)["execution"]


def follow(look: Callable[[], Progress], pause: float, *, as_json: bool = False) -> Progress:
    """Show what ``look`` tells until the run is over: a tree on a terminal, else a line when a state ends."""
    if as_json:
        return _as_lines(look, pause)
    return _as_tree(look, pause) if on_a_terminal() else _as_text(look, pause)


def _claim(run: str, data: Bucket) -> bytes | None:
    """Return the claimed request of a run; of one that was refused, the record of why."""
    return data.get_or_none(keys.request_key(run)) or data.get_or_none(keys.failure_key(run))


def _as_tree(look: Callable[[], Progress], pause: float) -> Progress:
    from rich.live import Live

    progress = look()
    with Live(_tree(progress), auto_refresh=False) as live:
        while not progress.ended:
            time.sleep(pause)
            progress = look()
            live.update(_tree(progress), refresh=True)
    _say_ending(progress)
    return progress


def _as_text(look: Callable[[], Progress], pause: float) -> Progress:
    shown: set[str] = set()
    while True:
        progress = look()
        for state in progress.states:
            if state.began and (state.ended or progress.ended) and state.name not in shown:
                shown.add(state.name)
                say(f"  {state.name:<20}{_details(state, progress)}")
        if progress.ended:
            _say_ending(progress)
            return progress
        time.sleep(pause)


def _as_lines(look: Callable[[], Progress], pause: float) -> Progress:
    """Print one line of JSON for each change."""
    before: Any = None
    while True:
        progress = look()
        now = progress.as_json()
        told = {**now, "seconds": 0, "states": [{**s, "seconds": 0, "seconds_left": 0} for s in now["states"]]}
        if told != before:
            say(json.dumps(now, ensure_ascii=False))
        if progress.ended:
            return progress
        before = told
        time.sleep(pause)


def _tree(progress: Progress) -> Any:
    from rich.text import Text
    from rich.tree import Tree

    colour = "red" if progress.failed else "green" if progress.ended else "cyan"
    tree = Tree(Text.assemble((progress.run, "bold"), "  ", (progress.status.lower(), colour), f"  {_total(progress)}"))
    for state in progress.states:
        if state.began:
            mark, style = ("✓", "green") if state.ended else ("✗", "red") if progress.ended else ("…", "cyan")
            branch = tree.add(Text.assemble((f"{mark} {state.name:<18}", style), f" {_details(state, progress)}"))
            if inside := _inside(state):
                branch.add(Text(inside, "dim"))
    return tree


def _total(progress: Progress) -> str:
    estimate = f" of {progress.estimate.partition(' (')[0]}" if progress.estimate else ""
    mark = "" if all(state.confirmed for state in progress.states) else " *"
    return f"{_duration((progress.now - progress.began).total_seconds())}  ${progress.usd:,.4f}{mark}{estimate}"


def _details(state: State, progress: Progress) -> str:
    found = []
    if state.total is not None:
        found.append(f"{state.done}/{state.total}" + (f" ({state.failed} failed)" if state.failed else ""))
    if state.input_tokens or state.output_tokens:
        found.append(f"{state.input_tokens:,} tokens in, {state.output_tokens:,} out")
    if state.training_tokens:
        found.append(f"{state.training_tokens:,} tokens trained on")
    if state.usd:
        found.append(f"${state.usd:,.4f}{'' if state.confirmed else ' *'}")
    found.append(_duration(state.seconds(progress.now)))
    left = state.seconds_left(progress.now)
    if left and not progress.ended:
        found.append(f"{_duration(left)} left")
    return " · ".join(found)


def _inside(state: State) -> str:
    """Tell what came of the sizes inside TrainModels, a Map that has no counts."""
    told = [f"{state.inside[name]} {words}" for name, words in _NESTED.items() if name in state.inside]
    return " · ".join(told) if state.total is None else ""


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _say_ending(progress: Progress) -> None:
    if not all(state.confirmed for state in progress.states):
        say("* depends on a price that no official copy confirmed")
    if progress.failed:
        say(f"{progress.status}: {progress.error or ''}: {progress.cause or 'no cause was given'}")
