"""Run the whole pipeline on the emulator with many photos: time per photo, memory, largest state, history events.

    python -m benchmarks.soak [--photos 500,2000]

The photos are different collages of the sample photos, of 960 x 720 pixels. Teacher and student are the pixels-only
models, so that the figures are those of the pipeline. Each number of photos runs in a process of its own, which has
the emulator with all S3 objects, the Bedrock endpoint and the models; the Lambda functions are its child processes.
Waits are shortened to a hundredth. Linux only.

* ``ms_per_photo``: from the start of the execution to its end; ``seconds_by_state`` has the states of at least 1 s.
* ``peak_mb``: of the process, of the largest Lambda function, and of all together without counting shared pages twice.
* ``largest_state_bytes``: largest input or output of a state or child execution. The bar is 32 kB; AWS allows 256 KiB.
* ``history_events``: events of the longest history if each entered state had seven, the most that AWS writes for one
  without a retry. The bar is 2,500; AWS allows 25,000. On AWS, a job of hours adds a few for each wait of 5 minutes.
* ``student_answer_ms``: processor time of the tuned student for an answer, without the features of the image.

Exit code 1 if a bar is missed or the run fails.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps

if TYPE_CHECKING:
    from local.pipeline import LocalPipeline

LARGEST_STATE_BYTES = 32_000
HISTORY_EVENTS = 2_500
EVENTS_PER_STATE = 7
"""MapStateEntered, MapStateStarted, MapRunStarted, MapRunSucceeded, MapStateSucceeded, MapStateExited; seven if the
state is the first or last of an iteration of an inline Map."""

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "samples" / "photos"
COLLECTION = "soak/"
SIZE = (960, 720)
TEACHER, STUDENT = "local.teacher-pixels-v1:0", "local.student-pixels-v1:0"
POLL_SECONDS = 0.5
_KIB_PER_MB = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", default="500,2000", help="numbers of photos, at least 80")
    counts = [int(count) for count in parser.parse_args().photos.split(",")]
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            row = _in_own_process(Path(folder), count)
            _print(json.dumps(row))
            missed += [f"{count} photos: {problem}" for problem in missed_bars(row)]
    if missed:
        sys.exit("\n".join(missed))


def missed_bars(row: dict[str, Any]) -> list[str]:
    """Return a sentence for each bar that the figures of a run miss."""
    problems = [] if row["status"] == "SUCCEEDED" else [f"the run ended as {row['status']}: {row['cause']}"]
    for name, bar in (("largest_state_bytes", LARGEST_STATE_BYTES), ("history_events", HISTORY_EVENTS)):
        if row[name] > bar:
            problems.append(f"{name} is {row[name]:,}, more than {bar:,}")
    return problems


def write_photos(folder: Path, count: int) -> dict[str, Path]:
    """Write ``count`` different photos, none of them a near-duplicate of another by design; return their paths by name.

    Each is a collage of four random parts of sample photos. The same number gives the same photo.
    """
    samples = [Image.open(path).convert("RGB") for path in sorted(SAMPLES.glob("*.jpg"))]
    photos = {}
    for number in range(count):
        path = folder / f"{number:05}.jpg"
        _collage(samples, random.Random(number)).save(path, quality=85)
        photos[path.name] = path
    return photos


def _collage(samples: list[Image.Image], generator: random.Random) -> Image.Image:
    photo = Image.new("RGB", SIZE)
    width, height = SIZE[0] // 2, SIZE[1] // 2
    for corner in ((0, 0), (width, 0), (0, height), (width, height)):
        sample = generator.choice(samples)
        side = [generator.uniform(0.4, 0.9) * length for length in sample.size]
        left, top = (generator.uniform(0, length - part) for length, part in zip(sample.size, side, strict=True))
        box = (left, top, left + side[0], top + side[1])
        part = sample.resize((width, height), Image.Resampling.BILINEAR, box)
        photo.paste(ImageOps.mirror(part) if generator.random() < 0.5 else part, corner)
    return photo


def _run(folder: Path, count: int) -> dict[str, Any]:
    from local.pipeline import local_pipeline

    photos = write_photos(_new_folder(folder, f"photos-{count}"), count)
    with local_pipeline() as pipeline, MemoryPeaks() as peaks:
        pipeline.upload(photos, COLLECTION)
        sizes = [count // 10, count // 2]
        request = {"teacher": TEACHER, "student": STUDENT, "train_sizes": sizes, "max_usd": 200}
        pipeline.start_run(COLLECTION, request)
        execution = _wait(pipeline)
        row = _figures(pipeline, execution, count)
        return row | {"peak_mb": peaks.megabytes, "student_answer_ms": _answer_ms(pipeline, photos)}


def _new_folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder


def _wait(pipeline: LocalPipeline) -> str:
    """Return the ARN of the execution after its end."""
    while not (executions := pipeline.executions()):
        time.sleep(POLL_SECONDS)
    while pipeline.describe(executions[0])["status"] == "RUNNING":
        time.sleep(POLL_SECONDS)
    return executions[0]


def _figures(pipeline: LocalPipeline, execution: str, count: int) -> dict[str, Any]:
    description = pipeline.describe(execution)
    seconds = (description["stopDate"] - description["startDate"]).total_seconds()
    histories = [History(pipeline, arn) for arn in (execution, *_children(pipeline, execution))]
    return {
        "photos": count,
        "status": description["status"],
        "cause": description.get("cause"),
        "seconds": round(seconds, 1),
        "ms_per_photo": round(seconds / count * 1000, 1),
        "seconds_by_state": {name: s for name, s in histories[0].seconds_by_state().items() if s >= 1},
        "largest_state_bytes": max(history.largest_state_bytes() for history in histories),
        "history_events": max(history.events_at_most() for history in histories),
        "child_executions": len(histories) - 1,
    }


def _children(pipeline: LocalPipeline, execution: str) -> Iterator[str]:
    """Yield the ARNs of the child executions of the Distributed Maps."""
    states = pipeline.aws.client("stepfunctions")
    for runs in states.get_paginator("list_map_runs").paginate(executionArn=execution):
        for run in runs["mapRuns"]:
            for children in states.get_paginator("list_executions").paginate(mapRunArn=run["mapRunArn"]):
                yield from (child["executionArn"] for child in children["executions"])


class History:
    """The history of an execution."""

    def __init__(self, pipeline: LocalPipeline, arn: str) -> None:
        self._description = pipeline.describe(arn)
        pages = pipeline.aws.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=arn)
        self._events: list[dict[str, Any]] = [event for page in pages for event in page["events"]]

    def largest_state_bytes(self) -> int:
        """Return the largest input or output of the execution or of one of its states, in bytes."""
        details = [member for event in self._events for member in event.values() if isinstance(member, dict)]
        texts = [holder.get(name) or "" for holder in (self._description, *details) for name in ("input", "output")]
        return max(len(text.encode()) for text in texts)

    def events_at_most(self) -> int:
        """Return the number of events that AWS would write at most, without retries."""
        return EVENTS_PER_STATE * sum("stateEnteredEventDetails" in event for event in self._events)

    def seconds_by_state(self) -> dict[str, float]:
        """Return the seconds between entering and leaving each state, summed over repeated visits."""
        seconds: dict[str, float] = {}
        entered: dict[str, Any] = {}
        for event in self._events:
            if details := event.get("stateEnteredEventDetails"):
                entered[details["name"]] = event["timestamp"]
            elif (details := event.get("stateExitedEventDetails")) and details["name"] in entered:
                name = details["name"]
                passed = (event["timestamp"] - entered.pop(name)).total_seconds()
                seconds[name] = round(seconds.get(name, 0) + passed, 1)
        return seconds


def _answer_ms(pipeline: LocalPipeline, photos: dict[str, Path]) -> float | None:
    """Return the shortest of 20 answers of the last tuned model, or None without one."""
    service = pipeline.bedrock.service
    if not service.students:
        return None
    student = list(service.students.values())[-1]
    features = service.student(STUDENT).features(Image.open(next(iter(photos.values()))))
    times = []
    for _ in range(20):
        started = time.thread_time()
        student.answer(features)
        times.append(time.thread_time() - started)
    return round(min(times) * 1000, 2)


@dataclass
class MemoryPeaks:
    """Peak memory of this process and its descendants, sampled twice a second in a ``with`` block."""

    megabytes: dict[str, float] = field(default_factory=lambda: {"process": 0, "largest_function": 0, "all": 0})
    """Peaks of this process, of the largest descendant, and of the sum of proportional set sizes."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> MemoryPeaks:
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            own, *others = [_memory(process) for process in process_tree(_parents())]
            sample = {
                "process": own[0],
                "largest_function": max((resident for resident, _ in others), default=0),
                "all": own[1] + sum(proportional for _, proportional in others),
            }
            for name, kib in sample.items():
                self.megabytes[name] = max(self.megabytes[name], round(kib / _KIB_PER_MB))


def process_tree(parents: dict[int, int], root: int | None = None) -> Iterable[int]:
    """Return a process, by default this one, and all its descendants, from the parent of each process."""
    tree = [multiprocessing.current_process().pid or 0 if root is None else root]
    for process in tree:
        tree += [child for child, parent in parents.items() if parent == process]
    return tree


def _parents() -> dict[int, int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may contain spaces.
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # The process has ended.
    return parents


def _memory(process: int) -> tuple[int, int]:
    """Return resident and proportional set size in KiB; zeros if the process has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0, 0
    sizes = {name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)}
    return sizes.get("Rss", 0), sizes.get("Pss", 0)


def _in_own_process(folder: Path, count: int) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(folder, count, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        sys.exit(f"{count} photos: the process of the run ended without a result")
    finally:
        process.join()


def _send(folder: Path, count: int, to: Any) -> None:
    to.send(_run(folder, count))


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
