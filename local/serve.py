"""``make local``: the AWS emulator and the local Bedrock endpoint on fixed ports, until Ctrl-C.

``build/local.env`` leads every AWS client of a shell to them: the AWS CLI, the CDK, boto3 and ``distill``.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import shlex
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from cli.console import CommandError, print_line, print_to_stderr
from distillation.errors import excerpt
from local import BUILD, ROOT, models
from local.aws.account import ACCOUNT, REGION
from local.aws.emulator import client_settings
from local.bedrock import vlm_from_environment
from local.http_server import HOST, bound_socket
from local.pipeline import LocalAws, local_aws

DEFAULT_PORT = 4566
_FILE = BUILD / "local.env"
# The variables of the user's own AWS configuration, such as AWS_PROFILE, would lead a client elsewhere.
_SCRIPT = """\
# For the shell that uses the AWS emulator of `make local`: source {file}
for _name in $(env | sed -n -e 's/^\\(AWS_[A-Za-z0-9_]*\\)=.*/\\1/p' -e 's/^\\(CDK_[A-Za-z0-9_]*\\)=.*/\\1/p'); do
  unset "$_name"
done
unset _name
{exports}
export NO_PROXY={host},localhost"${{NO_PROXY:+,$NO_PROXY}}" no_proxy={host},localhost"${{no_proxy:+,$no_proxy}}"
"""


def main(arguments: Sequence[str]) -> int:
    """Serve until a signal. Return the exit code."""
    try:
        port = _parse_port(arguments)
        _check_ports(port)
        vlm = vlm_from_environment(models.available_pair(BUILD / "models"))
        with local_aws(port=port, vlm=vlm) as local, environment_file(environment_script(local)):
            print_line(f"AWS emulator on {local.aws.url}, Bedrock on {local.bedrock.url}; Ctrl-C stops both")
            print_line(f"In another terminal: source {shlex.quote(_shown(_FILE))}")
            print_line(f"Then: npx cdk bootstrap aws://{ACCOUNT}/{REGION} && npx cdk deploy --all")
            threading.Event().wait()
    except CommandError as error:
        print_to_stderr(f"local: {error}")
        return 2
    return 0


def environment_script(local: LocalAws) -> str:
    """Return the shell script that leads the AWS clients of a shell to the emulator and nowhere else."""
    settings = client_settings(local.aws.url, local.bedrock.url) | {"DISTILL_STAGE": "local"}
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in settings.items())
    return _SCRIPT.format(file=_shown(_FILE), exports=exports, host=HOST)


def _parse_port(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make local")
    parser.add_argument("--port", default=str(DEFAULT_PORT))
    text = parser.parse_args(arguments).port.strip() or str(DEFAULT_PORT)
    if not text.isdecimal() or len(text) > 5 or not 1024 <= int(text) <= 65534:
        raise CommandError(f"PORT must be a number from 1024 to 65534, like {DEFAULT_PORT} (got {excerpt(text)!r})")
    return int(text)


def _check_ports(port: int) -> None:
    """Raise ``CommandError`` if one of the two ports is in use."""
    for number in (port, port + 1):
        try:
            bound_socket(number).close()
        except OSError as error:
            problem = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
            other = f"make local PORT={port + 100 if port < 65400 else DEFAULT_PORT}"
            raise CommandError(
                f"port {number} {problem}. Stop the program that uses it, or choose two other ports: {other}"
            ) from None


@contextlib.contextmanager
def environment_file(script: str) -> Iterator[None]:
    """Write the script, and delete it at the end unless another emulator has replaced it."""
    _FILE.parent.mkdir(parents=True, exist_ok=True)
    _FILE.write_text(script, "utf-8")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if _FILE.read_text("utf-8") == script:
                _FILE.unlink()


def _shown(path: Path) -> str:
    """Return a path relative to the project, where ``make`` runs."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
