"""Start ministack inside this process, reachable from this machine only, and end all of it."""

from __future__ import annotations

import contextlib
import http.client
import importlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config as ClientConfig

from local.aws import patches
from local.http_server import HOST, NotStarted, bound_socket, serving

ACCOUNT = "000000000000"
REGION = "us-east-1"
ADMIN_KEY = "test"  # ministack's name for a caller who may do everything
_FOREIGN = (
    *("AWS_", "LOCALSTACK_", "MINISTACK_", "LAMBDA_", "SFN_", "EDGE_PORT", "SERVICES"),
    "PYTHONDONTWRITEBYTECODE",  # without bytecode a worker starts in 0.6 s instead of 0.25 s
)


class AwsEmulator:
    """A running embedded AWS, seen by its administrator."""

    def __init__(self, url: str, bedrock_url: str) -> None:
        self.url = url
        self._bedrock_url = bedrock_url
        self._session: Any = boto3.Session(
            aws_access_key_id=ADMIN_KEY, aws_secret_access_key=ADMIN_KEY, region_name=REGION
        )
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """Return the boto3 client of a service; Bedrock's go to the local Bedrock endpoint."""
        if service not in self._clients:
            self._clients[service] = self._session.client(
                service,
                config=ClientConfig(max_pool_connections=32, retries={"total_max_attempts": 2}),
                endpoint_url=self._bedrock_url if service.startswith("bedrock") else self.url,
            )
        return self._clients[service]


@contextlib.contextmanager
def aws_emulator(
    work_dir: Path, bedrock_url: str, *, enforce_roles: bool = True, wait_scale: float = 0.01
) -> Iterator[AwsEmulator]:
    """Run an empty AWS; on the way out no process, port, execution or setting of it is left.

    Lambda workers get the environment that their template gives them, the way to this AWS and to
    ``bedrock_url``, and nothing of the user's own AWS configuration. With ``enforce_roles`` they
    can do what their role allows. ``wait_scale`` shortens Wait states and pauses before a retry.
    """
    temporary = work_dir.resolve() / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    with bound_socket(_port()) as listener, contextlib.ExitStack() as stack:
        port = listener.getsockname()[1]
        url = f"http://{HOST}:{port}"
        stack.enter_context(_environment(_settings(url, bedrock_url, temporary)))
        stack.enter_context(_temporary_files_in(temporary))
        stack.callback(shutil.rmtree, temporary, ignore_errors=True)
        app = _load(enforce_roles=enforce_roles, wait_scale=wait_scale)
        stack.enter_context(serving(app, listener, "the embedded AWS"))
        _request(port, "POST", "/_ministack/reset")
        patches.open_for_work()
        stack.callback(patches.end_all_work)
        yield AwsEmulator(url, bedrock_url)


def _port() -> int:
    """Return 0, any free port; in a process that had an embedded AWS its port, which ministack keeps."""
    app: Any = sys.modules.get("ministack.app")
    return int(app._MINISTACK_PORT) if app else 0


def _settings(url: str, bedrock_url: str, temporary: Path) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": ADMIN_KEY,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": url,
        "AWS_ENDPOINT_URL_BEDROCK": bedrock_url,
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock_url,
        "AWS_REGION": REGION,
        "AWS_SECRET_ACCESS_KEY": ADMIN_KEY,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "BIND_HOST": HOST,
        "DOCKER_HOST": f"unix://{temporary}/no-docker.sock",
        "GATEWAY_PORT": url.rpartition(":")[2],
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "MINISTACK_HOST": HOST,
        "MINISTACK_REGION": REGION,
        "MPLCONFIGDIR": str(temporary.parent.parent / "matplotlib"),  # its font cache is slow to make
        "NO_PROXY": f"{HOST},localhost",
        "PERSIST_STATE": "0",
        "S3_PERSIST": "0",
        "SFTP_ENABLED": "0",
        "TMPDIR": str(temporary),
        "no_proxy": f"{HOST},localhost",
    }


@contextlib.contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    for name in before:
        if name.startswith(_FOREIGN):
            del os.environ[name]
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def _load(*, enforce_roles: bool, wait_scale: float) -> Any:
    """Import and mend ministack, without its change to this process's logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # It asks for a package that only the signatures of KMS need.
    logging.getLogger("kms").setLevel(logging.ERROR)
    app: Any = importlib.import_module("ministack.app")
    root.handlers[:] = handlers
    root.setLevel(level)
    patches.apply()
    app.AUTH = enforce_roles
    states: Any = importlib.import_module("ministack.services.stepfunctions")
    states._SFN_WAIT_SCALE = wait_scale
    return app.app


def _request(port: int, method: str, path: str) -> None:
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path)
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise NotStarted(f"the embedded AWS answered {response.status} to {method} {path}")
