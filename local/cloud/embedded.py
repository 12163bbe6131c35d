"""Start the embedded AWS in this process, on 127.0.0.1 only, and stop all of it again."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.cloud import patches

ACCOUNT = "000000000000"
REGION = "us-east-1"
# Account 000000000000 is known to ministack as the root of its credentials.
_ROOT_KEY = "test"
_START_SECONDS = 15


class NotStarted(Exception):
    """The embedded AWS did not come up."""


@dataclass(frozen=True)
class EmbeddedAws:
    """A running embedded AWS."""

    url: str
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """Return a boto3 client with all rights in the fake account."""
        if service not in self._clients:
            self._clients[service] = boto3.session.Session(
                aws_access_key_id=_ROOT_KEY, aws_secret_access_key=_ROOT_KEY, region_name=REGION
            ).client(
                service,
                endpoint_url=self.url,
                config=Config(
                    retries={"max_attempts": 2}, max_pool_connections=20, s3={"addressing_style": "path"}
                ),
            )
        return self._clients[service]


@contextmanager
def embedded_aws(
    work_dir: Path, bedrock_url: str, *, enforce_roles: bool = True, wait_scale: float = 0.01
) -> Iterator[EmbeddedAws]:
    """Run the embedded AWS; ``wait_scale`` shortens Wait states and retries.

    Its settings are environment variables that it reads at import, so a process has one port and one
    setting of ``enforce_roles``; starting again in the same process empties it.
    """
    shutil.rmtree(work_dir, ignore_errors=True)
    work_dir.mkdir(parents=True)
    environment = _environment(work_dir, bedrock_url, enforce_roles, wait_scale)
    saved = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(environment)
    tempfile.tempdir = None  # Python remembers TMPDIR from its first use.
    try:
        with _served(int(environment["GATEWAY_PORT"])) as url:
            yield EmbeddedAws(url)
    finally:
        _end_workers()
        os.environ.clear()
        os.environ.update(saved)
        tempfile.tempdir = None
        shutil.rmtree(work_dir, ignore_errors=True)


def _environment(work_dir: Path, bedrock_url: str, enforce_roles: bool, wait_scale: float) -> dict[str, str]:
    return {
        "AUTH": str(enforce_roles).lower(),
        "AWS_ACCESS_KEY_ID": _ROOT_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL_BEDROCK": bedrock_url,
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock_url,
        "AWS_SECRET_ACCESS_KEY": _ROOT_KEY,
        # Nothing of the user's own configuration may reach a function.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(_port()),
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "ERROR",
        "MINISTACK_HOST": "127.0.0.1",
        "MPLCONFIGDIR": str(work_dir.parent / "matplotlib"),
        "PYTHONWARNINGS": "ignore",
        "SFN_WAIT_SCALE": str(wait_scale),
        "SFTP_ENABLED": "0",
        "TMPDIR": str(work_dir),
    }


_chosen_port: list[int] = []


def _port() -> int:
    """Return a free port, the same for the whole process: ministack remembers the first."""
    if not _chosen_port:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            _chosen_port.append(probe.getsockname()[1])
    return _chosen_port[0]


@contextmanager
def _served(port: int) -> Iterator[str]:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config as ServerConfig
    from ministack import app

    patches.apply()
    config = ServerConfig()
    config.bind = [f"127.0.0.1:{port}"]
    config.accesslog = None
    config.loglevel = "ERROR"
    config.keep_alive_timeout = 75
    config.graceful_timeout = 0.5
    stop = threading.Event()

    async def stopped() -> None:
        while not stop.is_set():
            await asyncio.sleep(0.05)

    async def run() -> None:
        await serve(app.app, config, shutdown_trigger=stopped)  # type: ignore[arg-type] - ASGI, untyped

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="embedded-aws", daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{port}"
    try:
        _await(port)
        urllib.request.urlopen(
            urllib.request.Request(f"{url}/_ministack/reset", method="POST"), timeout=30
        ).close()
        yield url
    finally:
        stop.set()
        thread.join(10)


def _await(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise NotStarted(f"the embedded AWS did not answer on 127.0.0.1:{port} within {_START_SECONDS} s")


def _end_workers() -> None:
    from ministack.core import lambda_runtime

    lambda_runtime.reset()
