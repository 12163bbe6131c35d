"""``python -m cli.report RUN``: fetch a run's report from its stage and open it."""

from __future__ import annotations

import argparse
import sys
import webbrowser
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from lambdas.shared import layout
from lambdas.shared.objects import ObjectMissing, Objects

FILES = ("report.json", "scores.csv", "report.html")


class NoStage(Exception):
    """The stage is not deployed; the message says what to do."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="distill report", description=__doc__)
    parser.add_argument("run", help="name of the run, as the notification tells it")
    parser.add_argument("--stage", default="dev")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--out", type=Path, help="folder for the files; else build/reports/RUN")
    parser.add_argument("--no-open", action="store_true", help="only fetch")
    asked = parser.parse_args(arguments)
    session = boto3.session.Session(region_name=asked.region)
    out = asked.out or Path("build/reports") / asked.run
    try:
        bucket = data_bucket(session.client("cloudformation"), asked.stage)
        page = fetch(Objects(session.client("s3"), bucket), asked.run, out)
    except ObjectMissing as missing:
        return _refuse(f"{missing}; is {asked.run!r} a run of stage {asked.stage!r}, and has it ended?")
    except (BotoCoreError, ClientError, NoStage) as error:
        return _refuse(str(error))
    sys.stdout.write(f"{page}\n")
    if not asked.no_open:
        webbrowser.open(page.resolve().as_uri())
    return 0


def data_bucket(cloudformation: Any, stage: str) -> str:
    """Return the Data bucket of a stage, from its storage stack; raises ``NoStage``."""
    name = f"Distill-{stage}-Storage"
    try:
        stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        raise NoStage(f"stack {name}: {error}; deploy the stage, or name another with --stage") from None
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
    if "DataBucket" not in outputs:
        raise NoStage(f"stack {name} has no output DataBucket; deploy it again")
    return outputs["DataBucket"]


def fetch(data: Objects, run: str, out: Path) -> Path:
    """Write the files of a run's report into a folder; return its page. Raises ``ObjectMissing``."""
    bodies = {name: data.read(layout.report(run, name)) for name in FILES}
    out.mkdir(parents=True, exist_ok=True)
    for name, body in bodies.items():
        (out / name).write_bytes(body)
    return out / "report.html"


def _refuse(words: str) -> int:
    sys.stderr.write(f"distill report: {words}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
