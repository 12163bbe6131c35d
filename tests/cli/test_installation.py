"""The installed package: what ``pip install .`` gives, outside a clone and without the packages of the extras."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

from cli.main import app
from cli.stage import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
RUN = """
import importlib
import importlib.metadata
import sys

allowed, unwanted = (set(sys.argv.pop(1).split()) for _ in range(2))
wheel = sys.argv.pop(1)

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in unwanted:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

def version(name, installed_version=importlib.metadata.version):
    if name not in allowed:
        raise importlib.metadata.PackageNotFoundError(name)
    return installed_version(name)

importlib.metadata.version = version
sys.path.insert(0, wheel)
sys.meta_path.insert(0, Absent())
import cli.main
assert cli.__file__.startswith(wheel), cli.__file__
if sys.argv[1:] == ["import every command"]:
    for command in cli.main.app.registered_commands:
        if command.callback.__name__ not in ("evaluate", "prefer", "review"):
            importlib.import_module(f"cli.{command.callback.__name__}")
else:
    cli.main.main()
"""


def packages(names: list[str]) -> set[str]:
    """Return the names of packages and of all that they require."""
    found, queue = {"vision-distillation"}, list(names)
    while queue:
        name = re.split(r"[^A-Za-z0-9._-]", queue.pop())[0].lower().replace("_", "-")
        if name not in found:
            found.add(name)
            with suppress(PackageNotFoundError):  # Required on another system, such as colorama on Windows.
                queue += [requirement for requirement in requires(name) or [] if "extra ==" not in requirement]
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def allowed() -> set[str]:
    """Return the names of the packages that the command without extras requires."""
    return packages(PROJECT["dependencies"])


@pytest.fixture(scope="module")
def unwanted(allowed: set[str]) -> set[str]:
    """Return the top-level modules of all other packages of this environment."""
    return {
        module
        for module, distributions in packages_distributions().items()
        if not {name.lower().replace("_", "-") for name in distributions} & allowed
    }


@pytest.fixture
def run(wheel: Path, allowed: set[str], unwanted: set[str], tmp_path: Path) -> Any:
    def run(*arguments: str, code: int = 0, folder: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", RUN, " ".join(allowed), " ".join(unwanted), str(wheel), *arguments]
        environment = {"PATH": "", "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


def test_package_has_the_command_and_no_handler_template_or_model(wheel: Path) -> None:
    names = {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")}

    assert names == {"cli", "distillation", "samples"}
    sources = {path.relative_to(ROOT) for name in ("cli", "distillation") for path in (ROOT / name).rglob("*")}
    wanted = {path for path in sources if (ROOT / path).is_file() and "__pycache__" not in path.parts}
    assert {path for path in wanted if not (wheel / path).is_file()} == set()
    assert (wheel / "cli/cdk.json").read_bytes() == (ROOT / "cdk.json").read_bytes()


def test_every_command_has_help_without_the_extras(run: Any) -> None:
    assert run("--version").stdout.startswith(f"distill {PROJECT['version']} (boto3 ")
    text = run("--help").stdout
    for command in app.registered_commands:
        assert command.callback
        assert f"  {command.callback.__name__}" in text


def test_commands_run_outside_a_clone_without_the_extras(run: Any, tmp_path: Path) -> None:
    assert "within max_usd" in run("estimate", "900x4000x3000").stdout
    assert "(skipped: 1 text)" in run("upload", ".", "a/", code=2, folder=text_folder(tmp_path)).stderr
    doctor = run("doctor", code=1).stdout
    assert re.search(r"^-    aws-cdk-lib +missing\n.*pip install '\.\[deploy\]'", doctor, re.MULTILINE)
    assert re.search(r"^-    CDK command +missing\n", doctor, re.MULTILINE)
    assert "BAD  credentials" in doctor
    run("import every command")


def test_a_clone_at_or_above_the_working_folder_gives_the_stages(run: Any, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    for name in ("app.py", "cdk.json", "cli/stage.py"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text('{"context": {"stages": {"mine": {"region": "us-east-1"}}}}')
    inside = clone / "photos of mine"
    inside.mkdir()

    assert "defined: mine" in run("runs", "--stage", "x", code=2, folder=inside).stderr
    assert "defined: dev, local" in run("runs", "--stage", "x", code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "package", "extra"),
    [
        (("evaluate", "--teacher", "a.csv", "--student", "a.csv"), "numpy", "evaluate"),
        (("upload", "a.parquet", "a/"), "pyarrow", "parquet"),
        (("apply", "a/", "--run", "r", "--xmp", "."), "lxml", "xmp"),
        (("review", "run"), "jinja2", "evaluate"),
        (("prefer", "run"), "jinja2", "evaluate"),
    ],
    ids=["evaluate", "parquet", "xmp", "review", "prefer"],
)
def test_a_command_that_needs_an_extra_says_which(
    arguments: tuple[str, ...], package: str, extra: str, run: Any, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("image,text\n1.jpg,cat\n")
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    error = run(*arguments, code=2).stderr

    assert re.fullmatch(rf"distill {arguments[0]}: needs the Python package {package}\S*\. .*'\.\[{extra}\]'\n", error)


def text_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "notes.txt").write_text("x")
    return folder


def test_all_versions_are_pinned() -> None:
    extras = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]
    own = re.compile(r"vision-distillation\[[a-z,]+\]")
    for requirement in [*PROJECT["dependencies"], *extras]:
        assert own.fullmatch(requirement) or re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==[\w.]+", requirement)


def test_layers_have_the_versions_of_the_package() -> None:
    pins = dict(requirement.split("==") for requirement in PROJECT["dependencies"])
    pins |= dict(requirement.split("==") for requirement in PROJECT["optional-dependencies"]["evaluate"])
    for layer in ("common", "evaluate"):
        lines = (ROOT / f"infra/layers/{layer}.txt").read_text("utf-8").splitlines()
        for name, version in (line.split("==") for line in lines if "==" in line):
            assert pins.get(name, version) == version
