"""``make verify-aws``: check on a deployed stage what this project assumes of AWS, and write a receipt.

The free checks run first. If one of them fails, nothing is paid. Then the command asks before it starts the run that
the paid checks need. It writes the receipt in any case, also after Ctrl-C.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from cli.console import CommandError, NotReachable, print_line
from cli.destroy import prompt
from cli.stage import ROOT, Stage, stage_settings
from infra.code_version import code_version
from tests.aws.assumptions import Assumption, checks
from tests.aws.free_checks import StageUnderTest
from tests.aws.observed_run import ObservedRun, observed_run
from tests.aws.receipt import Outcome, Receipt, Redactor

PHOTOS = 24
_QUESTION = f"""
The paid checks run {PHOTOS} photos and two training jobs. This costs about $0.20, at most $1, and takes one to several
hours. The models are deleted at the end. Type yes to continue: """


class Verification:
    """The outcomes so far, and the names that the receipt must not have."""

    def __init__(self, target: StageUnderTest) -> None:
        self.target = target
        self.outcomes: dict[str, Outcome] = {}
        self.problem = ""
        """Why the paid checks did not all run."""
        self._names: set[str] = {target.stage.name}

    def run(
        self,
        open_run: Callable[[], AbstractContextManager[ObservedRun]],
        ask: Callable[[str], str],
        *,
        free: Sequence[Assumption],
        paid: Sequence[Assumption],
    ) -> bool:
        """Run the free checks and, if all are confirmed and the user agrees, the paid checks.

        Return whether no check failed.
        """
        self._names |= _stage_names(self.target.stage)
        for assumption in free:
            self._check(assumption, self.target)
        if not self._all_confirmed():
            self.problem = "nothing was paid, because a free check failed"
            print_line(f"\n{self.problem.capitalize()}. Fix its cause and run the command again.")
            return False
        if ask(_QUESTION).strip() != "yes":
            print_line("Nothing was paid. Only the free checks are in the receipt.")
            return True
        with open_run() as observed:
            self._names |= _run_names(observed)
            for assumption in paid:
                self._check(assumption, observed)
        return self._all_confirmed()

    def receipt(self, today: datetime.date) -> Receipt:
        """Return the receipt of the outcomes so far."""
        redact = Redactor(self._names)
        return Receipt(
            date=today,
            region=self.target.stage.region,
            code=code_version(ROOT).partition("sha256:")[2][:10],
            teacher=redact(self.target.teacher),
            student=redact(self.target.student),
            checks={
                name: Outcome(outcome=outcome.outcome, observation=redact(outcome.observation))
                for name, outcome in self.outcomes.items()
            },
            problem=redact(self.problem),
        )

    def _check(self, assumption: Assumption, subject: Any) -> None:
        assert assumption.check is not None
        try:
            outcome, observation = "confirmed", assumption.check(subject)
        except AssertionError as error:
            outcome, observation = "refuted", str(error)
        except Exception as error:  # noqa: BLE001 - one check that fails must not keep the others from running
            outcome, observation = "error", f"{type(error).__name__}: {error}"
        # The text may have private parts until `receipt` redacts it, so validation has to wait.
        self.outcomes[assumption.name] = Outcome.model_construct(outcome=outcome, observation=observation)
        print_line(f"{outcome:<9} {assumption.name}: {observation}")

    def _all_confirmed(self) -> bool:
        return all(outcome.outcome == "confirmed" for outcome in self.outcomes.values())


def write_receipt(receipt: Receipt, folder: Path) -> Path:
    """Write a receipt into a folder under a name that no other receipt has; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 1
    while (path := folder / f"{receipt.date}-{receipt.code}-{number}.json").exists():
        number += 1
    path.write_text(receipt.model_dump_json(indent=1) + "\n", "utf-8")
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return 0 if no check failed, 1 if one did, 2 without a stage on AWS, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="make verify-aws", description=__doc__)
    parser.add_argument("--stage", default="dev", help="deployed stage, as defined in cdk.json")
    options = parser.parse_args(arguments)
    try:
        settings = stage_settings(options.stage)
    except CommandError as error:
        print_line(f"verify-aws: {error}")
        return 2
    stage = Stage(options.stage, settings["region"])
    if endpoint := _other_endpoint(stage):
        print_line(
            f"verify-aws: {endpoint} is not AWS, so a receipt would be wrong. Unset AWS_ENDPOINT_URL and the like."
        )
        return 2
    target = StageUnderTest(stage, settings["teachers"][0], settings["students"][0])
    photos = sorted((ROOT / "samples" / "photos").glob("*.jpg"))[:PHOTOS]
    verification = Verification(target)
    try:
        is_confirmed = verification.run(
            lambda: observed_run(stage, photos), prompt, free=checks("free"), paid=checks("paid")
        )
        code = 0 if is_confirmed else 1
    except KeyboardInterrupt:
        code, verification.problem = 130, "interrupted"
        print_line("\nInterrupted. The run was stopped and its models were deleted, as far as it had started.")
    except (AssertionError, CommandError, BotoCoreError, ClientError) as error:
        code, verification.problem = 1, f"{type(error).__name__}: {error}"
        print_line(f"\nverify-aws: {error}")
    path = write_receipt(verification.receipt(datetime.datetime.now(datetime.UTC).date()), ROOT / "build" / "receipts")
    print_line(f"\nReceipt, without account numbers or names: {path}. Please read it and attach it to an issue.")
    return code


def _other_endpoint(stage: Stage) -> str | None:
    """Return an endpoint that is not AWS, such as the emulator's; None if there is none."""
    endpoints = [stage.client(service).meta.endpoint_url for service in ("bedrock", "bedrock-runtime", "stepfunctions")]
    return next((url for url in endpoints if not (urlsplit(url).hostname or "").endswith(".amazonaws.com")), None)


def _stage_names(stage: Stage) -> set[str]:
    """Return the names of a stage's account, caller, buckets and state machine, as far as they can be read."""
    names: set[str] = set()
    with suppress(BotoCoreError, ClientError):
        caller = stage.client("sts").get_caller_identity()
        names |= {caller["Account"], *caller["UserId"].split(":"), caller["Arn"].rpartition("/")[2]}
    with suppress(BotoCoreError, ClientError, NotReachable):
        names |= {stage.photos.name, stage.data.name, stage.state_machine.rpartition(":")[2]}
    return names


def _run_names(observed: ObservedRun) -> set[str]:
    """Return the names of a run, its collection, execution, jobs and models."""
    arns = [observed.run.execution, *(model.deployment_arn or "" for model in observed.models)]
    arns += [arn or "" for model in observed.models for arn in (model.job_arn, model.model_arn)]
    return {
        observed.run.name,
        observed.run.collection.strip("/"),
        observed.run.account,
        *(model.model_name or "" for model in observed.models),
        *(arn.rpartition("/")[2].rpartition(":")[2] for arn in arns),
    }


if __name__ == "__main__":
    sys.exit(main())
