"""The command ``distill``: arguments, options and help of every subcommand, and the exit codes.

Each subcommand is implemented in the module of the same name. It is imported when the subcommand runs, which keeps
``distill --help`` fast. Annotations are not strings, because typer evaluates each of them several times.
"""

import io
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

# The library logs to standard output, where a command prints its result.
os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "CRITICAL")

EPILOG = """Exit codes: 0 success; 1 negative result (invalid, failed, over budget, not ready); 2 the command cannot run
as requested; 3 AWS, the stage or a part of it cannot be reached; 130 interrupted."""

_REMEDIES = {
    "EndpointConnectionError": ". Check the network connection and AWS_ENDPOINT_URL.",
    "NoCredentialsError": ". Set up credentials with: aws configure, or aws sso login",
    "ProfileNotFound": ". Set AWS_PROFILE to another profile.",
    "TokenRetrievalError": ". Sign in again with: aws sso login",
}
"""Remedies for errors whose boto3 message has none, keyed by exception name."""

_UNREACHABLE = {
    "botocore.ClientError",
    "botocore.BotoCoreError",
    "distillation.AccessDenied",
    "distillation.ServiceUnavailable",
}
"""Names of the exceptions that say that AWS or a part of it cannot be reached."""


_EXTRAS = {
    **dict.fromkeys(("jinja2", "lap", "matplotlib", "numpy", "pluralizer", "rapidfuzz"), "evaluate"),
    "lxml": "xmp",
    "pyarrow": "parquet",
}
"""Extra of pyproject.toml that has a package, by the package's import name."""


class CommandGroup(TyperGroup):
    """Command group that prints expected errors as one line and sets the exit code. ``--debug`` shows the traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            code = _exit_code(error)
            if code is None or ctx.params.get("debug"):
                raise
            from cli.console import print_to_stderr

            print_to_stderr(f"distill {ctx.invoked_subcommand}: {_missing_package(error) or error}{_remedy(error)}")
            raise typer.Exit(code) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


# Without rich, --help takes a third of the time.
app = typer.Typer(
    name="distill",
    cls=CommandGroup,
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    # By default help has at least 50 columns.
    context_settings={"terminal_width": min(shutil.get_terminal_size().columns, 80)},
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Any field of a request; can be repeated.")
]
RequestFile = Annotated[Path | None, typer.Option(help="JSON file with the fields of a request.")]
Region = Annotated[str, typer.Option(help="AWS Region of the stage.")]
Stage = Annotated[str, typer.Option(envvar="DISTILL_STAGE", help="Deployed stage, as defined in cdk.json.")]
Xmp = Annotated[Path | None, typer.Option(help="Folder of the photos: write the answers as NAME.EXT.xmp beside them.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        from cli.console import print_line

        python = sys.version.split()[0]
        print_line(f"distill {version('vision-distillation')} (boto3 {version('boto3')}, Python {python})")
        raise typer.Exit


@app.callback()
def distill(
    debug: Annotated[bool, typer.Option(help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Teach a small vision-language model on Amazon Bedrock to answer like a large one."""
    if names := os.environ.get("LOCAL_MODEL_NAMES"):  # set by `make local`
        from distillation.models import catalog

        catalog.set_served_names(names)


@app.command()
def doctor(as_json: Json = False, stage: Stage = "dev", region: Region = "us-east-1") -> None:
    """Check whether a stage is ready to run.

    Checks versions, Region, credentials, CDK bootstrap, stacks, models and quotas. Says how to fix each problem.
    """
    from cli.doctor import print_checks
    from cli.stage import Stage as DeployedStage

    if not print_checks(DeployedStage(stage, region), as_json=as_json):
        raise typer.Exit(1)


@app.command()
def estimate(
    what: Annotated[str, typer.Argument(help="Folder, collection, or COUNTxWIDTHxHEIGHT, such as 900x4000x3000.")],
    request: RequestFile = None,
    assignments: Assignments = None,
    measured: Annotated[
        bool, typer.Option(help="Use the stage's measured token counts, and check its account, for a folder too.")
    ] = False,
    as_json: Json = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """Estimate the cost of a run and check whether it would be refused.

    Nothing is uploaded, started or paid. AWS is needed only for a collection, for a request with apply, and with
    --measured; without it, the account is not checked.
    """
    from cli.estimate import estimate_photos
    from cli.stage import Stage as DeployedStage

    deployed = DeployedStage(stage, region)
    if not estimate_photos(what, request, deployed, measured, as_json=as_json, assignments=assignments or []):
        raise typer.Exit(1)


@app.command()
def upload(
    source: Annotated[
        Path, typer.Argument(help="Folder of photos with its subfolders, or a .zip, .tar, .tar.gz or .parquet file.")
    ],
    collection: Annotated[str, typer.Argument(help="Prefix in the Photos bucket, such as holiday/.")],
    shrink: Annotated[
        bool,
        typer.Option(
            "--shrink",
            help="Upload JPEGs of at most 2,048 pixels without GPS and other metadata, made here, not the originals.",
        ),
    ] = False,
    as_json: Json = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """Upload new and changed photos to a collection.

    Nothing is unpacked to disk. After an interrupt, the same command continues. A shrunk photo gives other images than
    its original, so upload a collection either with --shrink or without.
    """
    from cli.stage import Stage as DeployedStage
    from cli.upload import upload_photos

    upload_photos(source, collection, DeployedStage(stage, region), shrink=shrink, as_json=as_json)


@app.command()
def start(
    collection: Annotated[str, typer.Argument(help="Prefix in the Photos bucket, such as holiday/.")],
    request: RequestFile = None,
    from_manifest: Annotated[
        str | None, typer.Option(help="Repeat a run: its name or the path of its manifest.json.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Last step: Estimate, Baseline, LabelImages or ValidateDataset.")
    ] = None,
    max_usd: Annotated[float | None, typer.Option(help="Maximum cost in US dollars.")] = None,
    train_sizes: Annotated[str | None, typer.Option(help="Numbers of training images, such as 300,900.")] = None,
    sample: Annotated[int | None, typer.Option(help="Number of images to use, at least 16.")] = None,
    assignments: Assignments = None,
    as_json: Json = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """Start a run on a collection and print its name.

    Options override fields of --request, which override those of --from-manifest. Standard output has only the name:
    RUN=$(distill start holiday/)
    """
    from cli.requests import parse_sizes
    from cli.stage import Stage as DeployedStage
    from cli.start import start_run

    sizes = parse_sizes(train_sizes)
    options = {"until": until, "max_usd": max_usd, "train_sizes": sizes, "sample": sample}
    deployed = DeployedStage(stage, region)
    start_run(
        collection,
        request,
        from_manifest,
        deployed,
        as_json=as_json,
        options=options,
        assignments=assignments or [],
    )


@app.command()
def stop(
    run: Annotated[str, typer.Argument(help="Name of the run, as printed by start.")],
    as_json: Json = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """Stop a run and what it has begun.

    Stops its training jobs, deletes its deployments, and says which tuned models are kept and until when. Running the
    command again continues.
    """
    from cli.stage import Stage as DeployedStage
    from cli.stop import stop_run

    stop_run(run, DeployedStage(stage, region), as_json=as_json)


@app.command()
def watch(
    run: Annotated[str, typer.Argument(help="Name of the run, as printed by start.")],
    as_json: Json = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """Show the progress of a run until it ends.

    Ctrl-C stops only this command, not the run.
    """
    from cli.stage import Stage as DeployedStage
    from cli.watch import watch_run

    if not watch_run(run, DeployedStage(stage, region), as_json=as_json):
        raise typer.Exit(1)


@app.command()
def evaluate(
    teacher: Annotated[Path, typer.Option(help="The teacher's answers: JSON Lines, JSON or CSV with image and text.")],
    student: Annotated[Path, typer.Option(help="The tuned student's answers.")],
    base: Annotated[Path | None, typer.Option(help="The student's answers before training.")] = None,
    ceiling: Annotated[Path | None, typer.Option(help="The teacher's second answers, for the ceiling.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder with the images, named as in the answers.")] = None,
    prompt: Annotated[
        str, typer.Option(help="Prompt file, or its name in samples/prompts, that gives the form of the answers.")
    ] = "keywords",
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("report"),
    fail_under: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with 1 if the agreement is below this, 0-1.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare two files of answers, without AWS."""
    from cli.answer_files import read_format
    from cli.console import print_document, print_line, print_to_stderr
    from cli.evaluate import compare_files, print_comparison

    report = compare_files(teacher, student, base, ceiling, images, read_format(prompt), out)
    if as_json:
        print_document(report)
    else:
        print_comparison(report)
        print_line(str(out / "report.html"))
    score = report.evaluation.agreement.tuned["student"].mean
    if fail_under is not None and score < fail_under:
        print_to_stderr(f"The agreement {score:.4f} is below --fail-under {fail_under:g}.")
        raise typer.Exit(1)


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="Name of the run.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the files; by default build/reports/RUN.")] = None,
    preferences: Annotated[
        Path | None, typer.Option(help="File that the page of distill prefer downloaded: adds the win rates.")
    ] = None,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open the report in a browser.")] = True,
    xmp: Xmp = None,
    as_json: Json = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """Download the report of a run and open it.

    A run that applied a model has tables of answers instead, which --xmp also writes beside the photos.
    """
    from cli.report import fetch_report
    from cli.stage import Stage as DeployedStage

    if not fetch_report(DeployedStage(stage, region), run, out, preferences, xmp, show=show, as_json=as_json):
        raise typer.Exit(1)


@app.command()
def export(
    run: Annotated[str, typer.Argument(help="Name of the run.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the files; by default build/exports/RUN.")] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="Folder for the images, which Label Studio serves; by default tasks have s3:// URIs."),
    ] = None,
    as_json: Json = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """Export the labels of a run for other tools.

    Writes tasks and the labelling configuration of Label Studio, and chat datasets with an image folder for TRL and
    LLaMA-Factory.
    """
    from cli.export import export_run
    from cli.stage import Stage as DeployedStage

    export_run(DeployedStage(stage, region), run, out, images, as_json=as_json)


@app.command()
def review(
    run: Annotated[str, typer.Argument(help="Name of the run.")],
    limit: Annotated[int, typer.Option(min=1, help="Largest number of images on a page.")] = 500,
    out: Annotated[Path | None, typer.Option(help="Folder for the pages; by default build/reports/RUN.")] = None,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open the first page in a browser.")] = True,
    as_json: Json = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """Write pages on which a person corrects the labels of a run.

    Shows the least certain labels first. Accept, edit or reject them by keyboard, then download labels.csv and put it
    beside the photos: the next run uses it.
    """
    from cli.review import write_review
    from cli.stage import Stage as DeployedStage

    write_review(DeployedStage(stage, region), run, limit, out, show=show, as_json=as_json)


@app.command()
def prefer(
    run: Annotated[str, typer.Argument(help="Name of a run that trained a model.")],
    pairs: Annotated[int, typer.Option(min=1, help="Number of pairs of answers to judge.")] = 50,
    out: Annotated[Path | None, typer.Option(help="Folder for the page; by default build/reports/RUN.")] = None,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    as_json: Json = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """Write a page on which a person chooses between two answers.

    The tuned model's answers are beside those of the teacher and of the student before training, on hidden sides. The
    file that the page downloads goes back with: distill report RUN --preferences FILE
    """
    from cli.prefer import write_preference_page
    from cli.stage import Stage as DeployedStage

    write_preference_page(DeployedStage(stage, region), run, pairs, out, show=show, as_json=as_json)


@app.command()
def validate(
    dataset: Annotated[str, typer.Option("-i", "--input_file", "--input-file", help="JSON Lines file or s3:// URI.")],
    model: Annotated[str, typer.Option("-m", "--model_name", "--model-name", help="micro, lite, pro, lite-2.0, ...")],
    validation: Annotated[str | None, typer.Option(help="Validation file or s3:// URI.")] = None,
    as_json: Json = False,
    strict: Annotated[bool, typer.Option("--strict", help="Treat warnings as errors.")] = False,
    images: Annotated[bool, typer.Option("--images", help="Also check each image in S3.")] = False,
    list_all: Annotated[bool, typer.Option("--all", help="List each problem, not one line for each rule.")] = False,
) -> None:
    """Check a dataset for what Bedrock would reject.

    Also warns about records that harm training. The options are those of the validation script in aws-samples.
    """
    from cli.validate import validate_dataset

    options = {"as_json": as_json, "strict": strict, "images": images, "list_all": list_all}
    if not validate_dataset(dataset, model, validation, **options):
        raise typer.Exit(1)


@app.command()
def apply(
    collection: Annotated[str, typer.Argument(help="Prefix in the Photos bucket, such as holiday/.")],
    run: Annotated[str, typer.Option(help="Run whose tuned model answers.")],
    max_usd: Annotated[
        float | None, typer.Option(help="Maximum cost in US dollars; by default that of a request.")
    ] = None,
    tolerance: Annotated[float | None, typer.Option(help="Share of photos that may be set aside, 0-1.")] = None,
    fallback: Annotated[
        bool, typer.Option("--fallback", help="Ask the teacher where the tuned model's answer is not valid.")
    ] = False,
    audit_share: Annotated[
        float | None,
        typer.Option(
            help="Share of images that the teacher is asked about as well, 0-1; by default 0.02, at least 20."
        ),
    ] = None,
    service_tier: Annotated[
        str | None, typer.Option(help="Service tier of the teacher: auto (default), default or flex.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the tables; by default build/results/RUN.")] = None,
    xmp: Xmp = None,
    as_json: Json = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """Apply a tuned model to a collection.

    Downloads the answers as results.csv and results.jsonl. Says how well the model agrees with the teacher on an audit
    of random images, and how many photos the teacher answered about.
    """
    from cli.apply import apply_model
    from cli.stage import Stage as DeployedStage

    options = {
        "max_usd": max_usd,
        "tolerance": tolerance,
        "fallback": "teacher" if fallback else None,
        "audit_share": audit_share,
        "service_tier": service_tier,
    }
    if not apply_model(collection, run, options, out, xmp, DeployedStage(stage, region), as_json=as_json):
        raise typer.Exit(1)


@app.command()
def runs(
    names: Annotated[list[str] | None, typer.Argument(help="Runs to compare; by default all runs are listed.")] = None,
    as_json: Json = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """List the runs of a stage, or compare some.

    Shows code, dataset, settings, scores and cost.
    """
    from cli.runs import list_runs
    from cli.stage import Stage as DeployedStage

    list_runs(DeployedStage(stage, region), names or [], as_json=as_json)


@app.command()
def clean(
    run: Annotated[
        str | None, typer.Option(help="Select all resources of this run; by default those that no run retains.")
    ] = None,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Also select unknown models and deployments: those of no known run.")
    ] = False,
    objects: Annotated[
        bool, typer.Option("--objects", help="Also delete the run's objects in S3, but no labels, images or ledger.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete the selected resources; by default nothing is deleted.")
    ] = False,
    as_json: Json = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """List or delete a stage's Bedrock resources.

    Lists jobs, deployments and models with their monthly cost.
    """
    from cli.clean import clean_stage
    from cli.stage import Stage as DeployedStage

    clean_stage(
        DeployedStage(stage, region), run, objects=objects, include_unknown=unknown, confirmed=yes, as_json=as_json
    )


@app.command()
def destroy(
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Do not ask, and keep the buckets and unknown models (of no run in the bucket)."),
    ] = False,
    stage: Stage = "dev",
    region: Region = "us-east-1",
) -> None:
    """Delete a stage and its tuned models.

    Stops running executions first. Asks for confirmation, again for deployments and models that belong to no run in
    the stage's Data bucket, and again for each bucket.
    """
    from cli.destroy import destroy_stage
    from cli.stage import Stage as DeployedStage

    destroy_stage(DeployedStage(stage, region), assume_yes=yes)


def _missing_package(error: Exception) -> str | None:
    """Return what to install if a command needs a package of an extra; None for another error."""
    name = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    extra = _EXTRAS.get(name.partition(".")[0])
    return extra and f"needs the Python package {name}. In the clone: pip install '.[{extra}]'"


def _remedy(error: Exception) -> str:
    """Return the remedy for an error of boto3, also if the library has translated it."""
    return _REMEDIES.get(type(error).__name__) or _REMEDIES.get(type(error.__cause__).__name__, "")


def _exit_code(error: Exception) -> int | None:
    """Return the exit code of an expected error, or None for a defect of this program."""
    from cli.console import CommandError

    if isinstance(error, CommandError):
        return error.exit_code
    if _missing_package(error):
        return 2
    # Compare names, because most commands do not import these classes.
    class_names = {base.__module__.split(".")[0] + "." + base.__name__ for base in type(error).__mro__}
    if class_names & _UNREACHABLE:
        return 3
    if "distillation.DistillationError" in class_names:
        return 2
    # A broken pipe means that the reader, such as head, has ended: no error to report.
    return 2 if isinstance(error, OSError) and not isinstance(error, BrokenPipeError) else None


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that is not UTF-8 gets the escapes of characters that it does not have, not a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(app())


if __name__ == "__main__":
    main()
