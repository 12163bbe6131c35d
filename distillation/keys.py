"""S3 keys in the Data bucket, and names of runs, jobs and models.

Keys hold only ``[A-Za-z0-9/_.-]``, the characters that Bedrock accepts in an S3 location.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

REQUEST_FILE = "distill.json"
"""Name of the request file in a collection of the Photos bucket."""
PROBE_IMAGE_KEY = "images/probe.jpg"
"""Key of the image in Prepare's question to the teacher."""


def run_name(collection: str, identity: str) -> str:
    """Return the name of a run: ``<collection>-<hash>``, the same for the same collection and identity.

    ``identity`` is the object version of the request file, or the execution ARN. The name has at most 41 characters of
    ``[a-z0-9-]`` without ``--``, so that names derived from it fit Bedrock's limit of 63.
    """
    return f"{_slug(collection)}-{_digest(collection + chr(0) + identity, 10)}"


def model_name(run: str, size: int, attempt: int) -> str:
    """Return the name of a job, its tuned model and its deployment: ``<run>-n<size>-a<attempt>``."""
    return f"{run}-n{size}-a{attempt}"


def deployment_name(run: str, size: int, model: str) -> str:
    """Return the name of the deployment of a model: the model's, or the run's own if another run trained the model."""
    return model if model.rpartition("-a")[0] == f"{run}-n{size}" else model_name(run, size, 1)


def labeler_id(model: str, system: str, user: str, settings: dict[str, Any]) -> str:
    """Return the hash of everything that can change an answer: foundation model, prompt and inference settings."""
    return _digest(json.dumps([model, system, user, settings], sort_keys=True), 16)


def batch_id(items: list[str]) -> str:
    """Return the id of a batch: a hash of its items in any order, so that a retry overwrites its part."""
    return _digest("\n".join(sorted(items)), 16)


def image_key(side: int, sha256: str) -> str:
    """Return ``images/<side>/<sha256>.jpg``, the key of an image; ``side`` is its longest side in pixels."""
    return f"images/{side}/{sha256}.jpg"


def labels_prefix(labeler: str) -> str:
    """Return ``labels/<labeler>/``, the prefix of all answers of a labeler."""
    return f"labels/{labeler}/"


def label_key(labeler: str, sha256: str, sample: int) -> str:
    """Return ``labels/<labeler>/<sha256>/<sample>.json``, the key of an answer of a teacher or untuned student."""
    return f"{labels_prefix(labeler)}{sha256}/{sample}.json"


def label_retry_key(labeler: str, sha256: str, sample: int) -> str:
    """Return ``labels/<labeler>/<sha256>/<sample>-again.json``, the key of the retry of an invalid answer."""
    return f"{labels_prefix(labeler)}{sha256}/{sample}-again.json"


def calibration_key(model: str) -> str:
    """Return ``calibration/<model>.json``, the key of a model's measured tokens.

    ``model`` must have letters, digits, dots and hyphens only.
    """
    return f"calibration/{model}.json"


def request_key(run: str) -> str:
    """Return ``runs/<run>/request.json``, the key of the resolved request."""
    return f"runs/{run}/request.json"


def listing_key(run: str) -> str:
    """Return ``runs/<run>/listing.jsonl``, the key of the photos that AwaitUpload listed last."""
    return f"runs/{run}/listing.jsonl"


def inventory_key(run: str) -> str:
    """Return ``runs/<run>/inventory.jsonl``, the key of the list of all photos with their status."""
    return f"runs/{run}/inventory.jsonl"


def split_key(run: str, name: str) -> str:
    """Return ``runs/<run>/splits/<name>.jsonl``, the key of a set of images.

    ``name`` is ``train``, ``test``, ``validation``, ``to-label-<round>`` or ``to-predict-<round>``; ``images`` in a run
    with ``apply``.
    """
    return f"runs/{run}/splits/{name}.jsonl"


def rounds_key(run: str) -> str:
    """Return ``runs/<run>/splits/rounds.json``, the key of the rounds that a run may have."""
    return f"runs/{run}/splits/rounds.json"


def dataset_key(run: str, name: str) -> str:
    """Return ``runs/<run>/dataset/<name>.jsonl``; ``name`` is ``train-<size>`` or ``validation``."""
    return f"runs/{run}/dataset/{name}.jsonl"


def dataset_prefix(run: str) -> str:
    """Return ``runs/<run>/dataset/``, the prefix of the dataset files."""
    return f"runs/{run}/dataset/"


def dataset_hashes_key(run: str) -> str:
    """Return ``runs/<run>/dataset/hashes.json``, the key of the hashes of the validated dataset files."""
    return f"{dataset_prefix(run)}hashes.json"


def set_assignments_prefix(collection: str, *rules: Any) -> str:
    """Return ``sets/<collection>-<hash>/``, the prefix of a collection's set assignments under the same rules."""
    return f"sets/{_slug(collection)}-{_digest(json.dumps([collection, *rules]), 10)}/"


def set_assignments_key(prefix: str, created: str, run: str) -> str:
    """Return ``<prefix><created>-<run>.jsonl``, the key of one run's set assignments; keys sort by creation time."""
    return f"{prefix}{re.sub(r'[^0-9T]', '', created[:19])}-{run}.jsonl"


def split_facts_key(run: str) -> str:
    """Return ``runs/<run>/splits/facts.json``, the key of Split's counts of duplicates, groups and flags."""
    return f"runs/{run}/splits/facts.json"


def own_labels_key(run: str) -> str:
    """Return ``runs/<run>/own-labels.jsonl``, the key of the labels that the collection brings."""
    return f"runs/{run}/own-labels.jsonl"


def manifest_key(run: str) -> str:
    """Return ``runs/<run>/manifest.json``, the key of the lineage of the models."""
    return f"runs/{run}/manifest.json"


def training_prefix(run: str, size: int) -> str:
    """Return ``runs/<run>/training/n<size>/``, the prefix of the metrics that Bedrock writes for a job."""
    return f"runs/{run}/training/n{size}/"


def predictions_key(run: str, answerer: str) -> str:
    """Return ``runs/<run>/predictions/<answerer>.jsonl``, the key of all answers in PredictTestImages.

    ``answerer`` is ``base``, ``n<size>``, ``ceiling`` or the name of another alternative to training.
    """
    return f"runs/{run}/predictions/{answerer}.jsonl"


def report_key(run: str, name: str) -> str:
    """Return ``runs/<run>/report/<name>``, the key of a file of the report."""
    return f"runs/{run}/report/{name}"


def review_key(run: str, page: int) -> str:
    """Return ``runs/<run>/report/review-<page>.html``, the key of a page to review labels; pages count from 1."""
    return report_key(run, f"review-{page}.html")


def report_json_key(run: str) -> str:
    """Return ``runs/<run>/report/report.json``, the key of the report as JSON."""
    return report_key(run, "report.json")


def estimate_key(run: str) -> str:
    """Return ``runs/<run>/report/estimate.json``, the key of the estimate."""
    return report_key(run, "estimate.json")


def deployment_key(run: str) -> str:
    """Return ``runs/<run>/deployment.json``, the key of the deployment that the promoted model took over."""
    return f"runs/{run}/deployment.json"


def results_key(run: str, kind: str) -> str:
    """Return ``runs/<run>/results.<kind>``, the key of a tuned model's answers; ``kind`` is ``csv`` or ``jsonl``."""
    return f"runs/{run}/results.{kind}"


def baseline_key(run: str) -> str:
    """Return ``runs/<run>/report/baseline.json``, the key of the comparison of alternatives to training."""
    return report_key(run, "baseline.json")


def ledger_key(run: str) -> str:
    """Return ``runs/<run>/ledger.json``, the key of the summed ledger."""
    return f"runs/{run}/ledger.json"


def failure_key(run: str) -> str:
    """Return ``runs/<run>/failure.json``, the key of the failure that ended the run."""
    return f"runs/{run}/failure.json"


def month_budget_key(month: str) -> str:
    """Return ``budget/<month>.json``, the key of the runs of a month with their budgets; ``month`` is ``YYYY-MM``."""
    return f"budget/{month}.json"


def parts_prefix(run: str, step: str) -> str:
    """Return ``work/<run>/<step>/``, the prefix of a step's parts."""
    return f"work/{run}/{step}/"


def part_key(run: str, step: str, batch: str) -> str:
    """Return ``work/<run>/<step>/<batch>.jsonl``, the key of a step's result for one batch."""
    return f"{parts_prefix(run, step)}{batch}.jsonl"


def answers_prefix(run: str, answerer: str) -> str:
    """Return ``work/<run>/answers/<answerer>/``, the prefix of all answers of a tuned model in a run."""
    return f"work/{run}/answers/{answerer}/"


def prediction_key(run: str, answerer: str, sha256: str) -> str:
    """Return ``work/<run>/answers/<answerer>/<sha256>.json``, the key of a tuned model's answer, which a retry reuses.

    ``answerer`` is ``n<size>``; ``tuned`` in a run with ``apply``.
    """
    return f"{answers_prefix(run, answerer)}{sha256}.json"


def waiting_key(run: str) -> str:
    """Return ``work/<run>/daily-quota.json``, the key of the first error of a run whose daily quota was used up."""
    return f"work/{run}/daily-quota.json"


def lock_key(answer_key: str) -> str:
    """Return ``work/locks/<answer key>``, the key of the lock on an answer."""
    return f"work/locks/{answer_key}"


def ledger_prefix(run: str) -> str:
    """Return ``work/<run>/ledger/``, the prefix of a run's ledger parts and reservations."""
    return f"work/{run}/ledger/"


def ledger_part_key(run: str, step: str, id: str, micro_dollars: int) -> str:
    """Return ``work/<run>/ledger/<step>.<id>.<micro dollars>.json``, the key of what a batch or job cost."""
    return f"{ledger_entry_prefix(run, step, id)}{micro_dollars}.json"


def ledger_entry_prefix(run: str, step: str, id: str) -> str:
    """Return ``work/<run>/ledger/<step>.<id>.``, the prefix of a batch's or job's ledger part and reservation."""
    return f"{ledger_prefix(run)}{step}.{id}."


def reservation_key(run: str, step: str, id: str, micro_dollars: int) -> str:
    """Return ``work/<run>/ledger/<step>.<id>.<micro dollars>.reserved``, the key of a reservation."""
    return f"{ledger_entry_prefix(run, step, id)}{micro_dollars}.reserved"


def _slug(collection: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", collection.lower()).strip("-")[:30].strip("-") or "all"


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
