"""Where things lie in the Data bucket, and how runs, jobs and models are named.

Keys hold only ``[A-Za-z0-9/_.-]``, the characters that Bedrock accepts in an S3 location.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

REQUEST_FILE = "distill.json"


def run_name(collection: str, identity: str) -> str:
    """Name a run: the same collection and identity (object version, or execution ARN) give the same.

    At most 41 characters of ``[a-z0-9-]`` without ``--``, so that every name derived from it fits
    Bedrock's 63.
    """
    return f"{_slug(collection)}-{_digest(collection + chr(0) + identity, 10)}"


def model_name(run: str, size: int, attempt: int) -> str:
    """Name of the job, the tuned model and its deployment."""
    return f"{run}-n{size}-a{attempt}"


def labeler_id(model: str, system: str, user: str, settings: dict[str, Any]) -> str:
    """Hash of all that can change an answer: model (whatever profile leads to it), prompt and inference settings."""
    return _digest(json.dumps([model, system, user, settings], sort_keys=True), 16)


def batch_id(items: list[str]) -> str:
    """Name of a batch: the same items, in any order, give the same name, so a retry overwrites."""
    return _digest("\n".join(sorted(items)), 16)


def image_key(side: int, sha256: str) -> str:
    """Key of an image."""
    return f"images/{side}/{sha256}.jpg"


def labels_prefix(labeler: str) -> str:
    """Prefix of all answers of a labeler."""
    return f"labels/{labeler}/"


def label_key(labeler: str, sha256: str, sample: int) -> str:
    """Key of a teacher's answer."""
    return f"{labels_prefix(labeler)}{sha256}/{sample}.json"


def label_retry_key(labeler: str, sha256: str, sample: int) -> str:
    """Key of the answer that is asked for when the first does not count."""
    return f"{labels_prefix(labeler)}{sha256}/{sample}-again.json"


def calibration_key(model: str) -> str:
    """Key of what was measured of a model's tokens; ``model`` holds letters, digits, dots and hyphens only."""
    return f"calibration/{model}.json"


def request_key(run: str) -> str:
    """Key of the claimed, resolved request of a run."""
    return f"runs/{run}/request.json"


def inventory_key(run: str) -> str:
    """Key of the list of all photos of a run and what became of them."""
    return f"runs/{run}/inventory.jsonl"


def split_key(run: str, name: str) -> str:
    """Key of a set of images: ``train``, ``test``, ``validation`` or ``to-label``."""
    return f"runs/{run}/splits/{name}.jsonl"


def dataset_key(run: str, name: str) -> str:
    """Key of a dataset file: ``train-<size>`` or ``validation``."""
    return f"runs/{run}/dataset/{name}.jsonl"


def dataset_prefix(run: str) -> str:
    """Prefix of the dataset files."""
    return f"runs/{run}/dataset/"


def set_assignments_prefix(collection: str, *rules: Any) -> str:
    """Prefix of what earlier runs under the same rules decided of a collection's images."""
    return f"sets/{_slug(collection)}-{_digest(json.dumps([collection, *rules]), 10)}/"


def set_assignments_key(prefix: str, created: str, run: str) -> str:
    """Key, under ``sets``, of the sets that one run chose; keys are in the order of the runs."""
    return f"{prefix}{re.sub(r'[^0-9T]', '', created[:19])}-{run}.jsonl"


def split_facts_key(run: str) -> str:
    """Key of what Split tells of duplicates, groups and flags."""
    return f"runs/{run}/splits/facts.json"


def own_labels_key(run: str) -> str:
    """Key of the owner's own labels, where the collection has some."""
    return f"runs/{run}/own-labels.jsonl"


def manifest_key(run: str) -> str:
    """Key of how the models came about."""
    return f"runs/{run}/manifest.json"


def training_prefix(run: str, size: int) -> str:
    """Prefix under which Bedrock writes a job's metrics."""
    return f"runs/{run}/training/n{size}/"


def predictions_key(run: str, answerer: str) -> str:
    """Key of the collected answers on the test images: ``base``, ``n<size>`` or ``ceiling``."""
    return f"runs/{run}/predictions/{answerer}.jsonl"


def report_key(run: str, name: str) -> str:
    """Key of a file of the report."""
    return f"runs/{run}/report/{name}"


def deployment_key(run: str) -> str:
    """Key of the deployment that a run's promoted model has taken over."""
    return f"runs/{run}/deployment.json"


def results_key(run: str, kind: str) -> str:
    """Key of what a tuned model said about a collection: ``csv`` or ``jsonl``."""
    return f"runs/{run}/results.{kind}"


def ledger_key(run: str) -> str:
    """Key of the summed ledger."""
    return f"runs/{run}/ledger.json"


def failure_key(run: str) -> str:
    """Key of the record of what ended a run early."""
    return f"runs/{run}/failure.json"


def parts_prefix(run: str, step: str) -> str:
    """Prefix of a step's parts."""
    return f"work/{run}/{step}/"


def part_key(run: str, step: str, batch: str) -> str:
    """Key of a step's result for one batch."""
    return f"{parts_prefix(run, step)}{batch}.jsonl"


def prediction_key(run: str, answerer: str, sha256: str) -> str:
    """Key of one student's answer about one test image; found by a batch that is tried again."""
    return f"work/{run}/answers/{answerer}/{sha256}.json"


def lock_key(answer: str) -> str:
    """Key that says which run asks for the answer with that key."""
    return f"work/turns/{answer}"


def ledger_prefix(run: str) -> str:
    """Prefix of the ledger parts of a run."""
    return f"work/{run}/ledger/"


def ledger_part_key(run: str, step: str, id: str, micro_dollars: int) -> str:
    """Key of what one batch or job paid."""
    return f"{ledger_entry_prefix(run, step, id)}{micro_dollars}.json"


def ledger_entry_prefix(run: str, step: str, id: str) -> str:
    """Prefix of what one batch or job paid and reserved."""
    return f"{ledger_prefix(run)}{step}.{id}."


def reservation_key(run: str, step: str, id: str, micro_dollars: int) -> str:
    """Key of the most that a batch or job may pay."""
    return f"{ledger_entry_prefix(run, step, id)}{micro_dollars}.reserved"


def _slug(collection: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", collection.lower()).strip("-")[:30].strip("-") or "all"


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
