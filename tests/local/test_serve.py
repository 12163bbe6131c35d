"""``make local``: its ports, and the file that leads a shell to the emulator."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from local import serve
from local.http_server import bound_socket
from tests.local.test_main import MAIN, start, wait_until

JUNK = {
    "AWS_CA_BUNDLE": "/absent",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "AWS_PROFILE": "work",
    "AWS_REGION": "eu-west-1",
    "AWS_SESSION_TOKEN": "token",
    "CDK_APP": "false",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "example.com",
}
"""A shell's own configuration."""
CLIENT = """
import boto3
sts, s3, bedrock = boto3.client("sts"), boto3.client("s3"), boto3.client("bedrock")
account, models = sts.get_caller_identity()["Account"], bedrock.list_custom_models()["modelSummaries"]
print(account, s3.list_buckets()["Buckets"], models)
"""


def free_port() -> int:
    """Return a port such that it and the next are free."""
    while True:
        with bound_socket() as first:
            port = first.getsockname()[1]
            try:
                bound_socket(port + 1).close()
            except OSError:
                continue
        return port


def test_shell_with_any_configuration_uses_the_emulator_until_ctrl_c(tmp_path: Path) -> None:
    port, build = free_port(), tmp_path / "my build"
    file, config = build / "local.env", tmp_path / "config"
    config.write_text("[profile work]\nregion = eu-west-1\nendpoint_url = http://127.0.0.1:9\n")
    changes = f"os.environ |= {JUNK!r}; local.BUILD = pathlib.Path({str(build)!r})"
    process = start("-c", f"import importlib, local, os, pathlib, sys; {changes}; {MAIN}", "serve", "--port", str(port))
    wait_until(file.exists, process)
    client = tmp_path / "client.py"
    client.write_text(CLIENT)
    used = subprocess.run(
        ["sh", "-c", '. "$1" && env && exec "$2" "$3"', "sh", str(file), sys.executable, str(client)],
        env=os.environ | JUNK | {"AWS_CONFIG_FILE": str(config)},
        capture_output=True,
        text=True,
    )
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate()
    variables = set(used.stdout.splitlines())

    assert "000000000000 [] []" in variables, used.stderr
    assert {name for name in JUNK if f"{name}={JUNK[name]}" in variables} == {"HTTP_PROXY"}
    assert "NO_PROXY=127.0.0.1,localhost,example.com" in variables
    assert [line.split()[0] for line in output.splitlines()] == ["AWS", "In", "Then:"]
    assert f"http://127.0.0.1:{port}," in output
    assert f"source '{file}'" in output
    assert errors == "\nlocal: everything has been stopped, and its buckets, runs and models are gone\n"
    assert not file.exists()
    for number in (port, port + 1):
        bound_socket(number).close()


@pytest.mark.parametrize("offset", [0, 1])
def test_port_in_use_is_named_with_the_remedy(offset: int, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port + offset)):
        assert serve.main(["--port", str(port)]) == 2

    assert re.fullmatch(
        rf"local: port {port + offset} is in use\. Stop the program .*make local PORT=\d+\n", capsys.readouterr().err
    )


@pytest.mark.parametrize("port", ["abc", "80", "65535", "-1", "1e4", "9" * 5000], ids=lambda port: port[:5])
def test_port_that_cannot_be_used_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert serve.main([f"--port={port}"]) == 2
    assert capsys.readouterr().err.startswith("local: PORT must be a number from 1024 to 65534, like 4566 (got ")


def test_environment_file_of_another_emulator_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "local.env"
    monkeypatch.setattr(serve, "_FILE", file)
    with serve.environment_file("first"):
        assert file.read_text() == "first"
        file.write_text("second")

    assert file.read_text() == "second"
