"""Run ministack inside this process, reachable only from this machine, and leave nothing of it behind."""

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

from local import BUILD
from local.aws import grants, patches, shutdown
from local.aws.account import ADMIN_KEY, REGION
from local.http_server import HOST, NotStarted, bound_socket, serving

_REMOVED_PREFIXES = (
    *("AWS_", "CDK_", "LOCALSTACK_", "LOCAL_VLM", "MINISTACK_", "LAMBDA_", "SFN_", "EDGE_PORT"),
    "SERVICES",
    "PYTHONDONTWRITEBYTECODE",  # a Lambda worker starts in 0.6 s without cached bytecode, in 0.25 s with it
)
"""Prefixes of environment variables that neither ministack nor a Lambda worker nor the CDK may see."""


class AwsEmulator:
    """A running AWS emulator and the clients of its administrator."""

    def __init__(self, url: str, bedrock_url: str) -> None:
        self.url = url
        self._bedrock_url = bedrock_url
        self._session: Any = boto3.Session(
            aws_access_key_id=ADMIN_KEY, aws_secret_access_key=ADMIN_KEY, region_name=REGION
        )
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """Return the boto3 client of a service; those of Bedrock call the local Bedrock endpoint."""
        if service not in self._clients:
            self._clients[service] = self._session.client(
                service,
                config=ClientConfig(max_pool_connections=32, retries={"total_max_attempts": 2}),
                endpoint_url=self._bedrock_url if service.startswith("bedrock") else self.url,
            )
        return self._clients[service]

    @contextlib.contextmanager
    def lambda_concurrency(self, limit: int) -> Iterator[None]:
        """Limit the concurrent Lambda functions of the account in the ``with`` block, as ``GetAccountSettings`` says.

        An invocation beyond the limit fails with TooManyRequestsException.
        """
        service: Any = importlib.import_module("ministack.services.lambda_svc")
        before, service._ACCOUNT_CONCURRENCY_CAP = service._ACCOUNT_CONCURRENCY_CAP, limit
        try:
            yield
        finally:
            service._ACCOUNT_CONCURRENCY_CAP = before

    @staticmethod
    def wait_until_idle(timeout: float = 60) -> None:
        """Wait until no execution and no Lambda function runs, which StopExecution does not wait for.

        Raise ``TimeoutError`` after ``timeout`` seconds.
        """
        shutdown.wait_until_idle(timeout)


@contextlib.contextmanager
def aws_emulator(
    work_dir: Path, bedrock_url: str, *, enforce_roles: bool = True, wait_scale: float = 0.01, port: int = 0
) -> Iterator[AwsEmulator]:
    """Run an empty emulator; on exit its processes, port, executions and settings are gone.

    A Lambda worker's environment has the variables of its template, the emulator's URL and ``bedrock_url``. It has
    nothing of the user's own AWS configuration. ``enforce_roles`` limits workers to what their role allows.
    ``wait_scale`` is the factor by which Wait states and pauses before a retry are shortened. ``port`` 0 is any free
    port. Raises ``OSError`` if the port is in use.
    """
    temporary = work_dir.resolve() / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    with bound_socket(port or _port()) as listener, contextlib.ExitStack() as stack:
        port = listener.getsockname()[1]
        url = f"http://{HOST}:{port}"
        stack.enter_context(_environment(_settings(url, bedrock_url, temporary)))
        stack.enter_context(_temporary_files_in(temporary))
        stack.callback(sys.setrecursionlimit, sys.getrecursionlimit())  # ministack's JSONata raises it.
        stack.callback(shutil.rmtree, temporary, ignore_errors=True)
        app = _load(enforce_roles=enforce_roles, wait_scale=wait_scale)
        stack.enter_context(serving(app, listener, "the AWS emulator"))
        _request(port, "POST", "/_ministack/reset")
        grants.usage.reset()
        shutdown.allow_work()
        stack.callback(shutdown.stop_all_work)
        yield AwsEmulator(url, bedrock_url)


def _port() -> int:
    """Return 0 for any free port, or the port of an earlier emulator in this process, which ministack keeps."""
    app: Any = sys.modules.get("ministack.app")
    return int(app._MINISTACK_PORT) if app else 0


def client_settings(url: str, bedrock_url: str) -> dict[str, str]:
    """Return the environment variables that lead any AWS client to the emulator, past the user's configuration."""
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
    }


def _settings(url: str, bedrock_url: str, temporary: Path) -> dict[str, str]:
    return {
        **client_settings(url, bedrock_url),
        "BIND_HOST": HOST,
        "DOCKER_HOST": f"unix://{temporary}/no-docker.sock",
        "GATEWAY_PORT": url.rpartition(":")[2],
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "MINISTACK_HOST": HOST,
        "MINISTACK_REGION": REGION,
        # Kept between runs, because matplotlib takes seconds to build its font cache.
        "MPLCONFIGDIR": str(BUILD / "matplotlib"),
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
        if name.startswith(_REMOVED_PREFIXES):
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
    """Import ministack, undo its change to this process's logging, and apply the patches; return the ASGI app."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    # It warns about a missing package that only the signatures of KMS need.
    logging.getLogger("kms").setLevel(logging.ERROR)
    # It repeats the error of a function that fails, which is in the execution and in the function's log.
    logging.getLogger("lambda").setLevel(logging.CRITICAL)
    app: Any = importlib.import_module("ministack.app")
    root.handlers[:] = handlers
    root.setLevel(level)
    patches.apply_all()
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
            raise NotStarted(f"the AWS emulator answered {response.status} to {method} {path}")
