"""``distill``: the operator's command. Every signature is here; what a command does is in the file of its name.

A command imports its file when it is called, so that ``distill --help`` waits for nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cli.console import Refused, warn

EPILOG = """Exit codes: 0 done; 1 done, and the answer is no (invalid, failed, over budget, not ready); 2 cannot be
done as asked; 3 AWS, the stage or something in it cannot be reached; 130 interrupted."""

_REMEDIES = {
    "EndpointConnectionError": "; is the network there, and AWS_ENDPOINT_URL right or unset?",
    "NoCredentialsError": "; set them up with aws configure, or aws sso login",
    "ProfileNotFound": "; name another with AWS_PROFILE",
    "TokenRetrievalError": "; sign in again: aws sso login",
}
"""By the name of what boto3 raises, whose messages tell none."""


class Commands(TyperGroup):
    """Turns what a command raises on purpose into one line and an exit code; ``--debug`` shows where it came from."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            code = _exit_code(error)
            if code is None or ctx.params.get("debug"):
                raise
            warn(f"distill {ctx.invoked_subcommand}: {error}{_REMEDIES.get(type(error).__name__, '')}")
            raise typer.Exit(code) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


# Help without rich is a third as long to wait for.
app = typer.Typer(
    name="distill",
    cls=Commands,
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
RequestFile = Annotated[Path | None, typer.Option(help="distill.json with the fields of a request.")]
Region = Annotated[str, typer.Option(help="Region of the stage.")]
Stage = Annotated[str, typer.Option(help="Stage of cdk.json that was deployed.")]


@app.callback()
def distill(debug: Annotated[bool, typer.Option(help="Show where an error came from.")] = False) -> None:
    """Teach a small vision-language model on Amazon Bedrock to answer like a large one."""


@app.command()
def doctor(as_json: Json = False, stage: Stage = "dev", region: Region = "us-east-1") -> None:
    """Say what a stage still needs, and what to do.

    Credentials, Region, models, quotas, bootstrap and versions are looked at.
    """
    from cli.doctor import examine
    from cli.stage import Stage as DeployedStage

    if not examine(DeployedStage(stage, region), as_json):
        raise typer.Exit(1)


@app.command()
def estimate(
    what: Annotated[str, typer.Argument(help="A folder here, a collection, or photos to come: 900x4000x3000.")],
    request: RequestFile = None,
    measured: Annotated[bool, typer.Option(help="Use what the stage's runs measured, for a folder too.")] = False,
    as_json: Json = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """Say what a run would cost, before it is paid.

    A folder, or photos to come, need no AWS.
    """
    from cli.estimate import estimate_photos
    from cli.stage import Stage as DeployedStage

    if not estimate_photos(what, request, DeployedStage(stage, region), measured, as_json):
        raise typer.Exit(1)


@app.command()
def upload(
    folder: Annotated[Path, typer.Argument(help="Folder of photos, any nesting.")],
    collection: Annotated[str, typer.Argument(help="Prefix in the Photos bucket, such as holiday/.")],
    as_json: Json = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """Upload photos, but those that are there already.

    Interrupted, the same command goes on.
    """
    from cli.stage import Stage as DeployedStage
    from cli.upload import upload_photos

    upload_photos(folder, collection, DeployedStage(stage, region), as_json)


@app.command()
def start(
    collection: Annotated[str, typer.Argument(help="Prefix in the Photos bucket, such as holiday/.")],
    request: RequestFile = None,
    from_manifest: Annotated[str | None, typer.Option(help="Repeat a run: its name, or its manifest.json.")] = None,
    as_json: Json = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """Start a run over a collection and print its name."""
    from cli.stage import Stage as DeployedStage
    from cli.start import start_run

    start_run(collection, request, from_manifest, DeployedStage(stage, region), as_json)


@app.command()
def watch(
    run: Annotated[str, typer.Argument(help="Name of the run, as start tells it.")],
    as_json: Json = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """Show how far a run is until it ends.

    Ctrl-C leaves the run alone.
    """
    from cli.stage import Stage as DeployedStage
    from cli.watch import watch_run

    if not watch_run(run, DeployedStage(stage, region), as_json):
        raise typer.Exit(1)


@app.command()
def evaluate(
    teacher: Annotated[Path, typer.Option(help='Lines of {"image": ..., "text": ...}.')],
    student: Annotated[Path, typer.Option(help="The same, of the student.")],
    base: Annotated[Path | None, typer.Option(help="Of the student before training.")] = None,
    ceiling: Annotated[Path | None, typer.Option(help="The teacher's second answers.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder with the images, named as in the answers.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("report"),
    as_json: Json = False,
) -> None:
    """Report on any two files of answers, without AWS."""
    from cli.evaluate import evaluate_files

    evaluate_files(teacher, student, base, ceiling, images, out, as_json)


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="Name of the run, as the notification tells it.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the files; else build/reports/RUN.")] = None,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    as_json: Json = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """Fetch a run's report and open it."""
    from cli.report import fetch_report
    from cli.stage import Stage as DeployedStage

    fetch_report(DeployedStage(stage, region), run, out, show, as_json)


@app.command()
def validate(
    dataset: Annotated[str, typer.Option("-i", "--input_file", "--input-file", help="JSON Lines file, or s3:// URI.")],
    model: Annotated[str, typer.Option("-m", "--model_name", "--model-name", help="micro, lite, pro, lite-2.0, ...")],
    validation: Annotated[str | None, typer.Option(help="Validation file, or its s3:// URI.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    images: Annotated[bool, typer.Option("--images", help="Open each image in S3 too.")] = False,
) -> None:
    """Tell what Bedrock would refuse in a dataset.

    And what harms learning: as aws-samples' script does, and more.
    """
    from cli.validate import validate_dataset

    if not validate_dataset(dataset, model, validation, as_json=as_json, strict=strict, images=images):
        raise typer.Exit(1)


@app.command()
def apply(
    collection: Annotated[str, typer.Argument(help="Collection in the Photos bucket, such as holiday/.")],
    run: Annotated[str, typer.Option(help="Run whose tuned model answers.")],
    max_usd: Annotated[float | None, typer.Option(help="Most that it may cost; else the request's default.")] = None,
    tolerance: Annotated[float | None, typer.Option(help="Share of photos that may be set aside.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the tables; else build/keywords/<run>.")] = None,
    as_json: Json = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """Have a tuned model answer about a collection.

    It writes results.csv and results.jsonl.
    """
    from cli.apply import apply_model
    from cli.stage import Stage as DeployedStage

    limits = {"max_usd": max_usd, "tolerance": tolerance}
    if not apply_model(collection, run, limits, out, DeployedStage(stage, region), as_json):
        raise typer.Exit(1)


@app.command()
def runs(
    names: Annotated[list[str] | None, typer.Argument(help="Runs to compare; without any all are listed.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """List a stage's runs, or compare some of them.

    By code, dataset, settings, scores and cost.
    """
    from cli.runs import list_runs
    from cli.stage import Stage as DeployedStage

    list_runs(DeployedStage(stage, region), names or [], as_json=as_json)


@app.command()
def clean(
    run: Annotated[str | None, typer.Option(help="All of this run, kept or not; else what no run keeps.")] = None,
    objects: Annotated[bool, typer.Option("--objects", help="The run's objects too; labels and images stay.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is marked; without it nothing is removed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """List what a stage has at Bedrock; --yes removes it.

    Jobs, deployments and models, with what they cost.
    """
    from cli.clean import clean_stage
    from cli.stage import Stage as DeployedStage

    clean_stage(DeployedStage(stage, region), run, objects=objects, really=yes, as_json=as_json)


@app.command()
def destroy(
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing; the buckets stay.")] = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """Take a stage down; ask first, and before the buckets.

    Tuned models go first.
    """
    from cli.destroy import destroy_stage
    from cli.stage import Stage as DeployedStage

    destroy_stage(DeployedStage(stage, region), sure=yes)


def _exit_code(error: Exception) -> int | None:
    """Return the exit code of a failure that its message explains; None for a defect of ours."""
    if isinstance(error, Refused):
        return error.exit_code
    kinds = {kind.__module__.split(".")[0] + "." + kind.__name__ for kind in type(error).__mro__}
    # Named, not imported: most commands never load these.
    if "distillation.DistillationError" in kinds:
        return 2
    if kinds & {"botocore.ClientError", "botocore.BotoCoreError"}:
        return 3
    # A reader that has gone is no failure to tell of.
    return 2 if isinstance(error, OSError) and not isinstance(error, BrokenPipeError) else None


def main() -> None:
    """Run the command line."""
    sys.exit(app())


if __name__ == "__main__":
    main()
