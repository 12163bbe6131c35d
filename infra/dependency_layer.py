"""Lambda layers of third-party packages, built for Lambda's platform without Docker."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import jsii
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

RUNTIME = lambda_.Runtime.PYTHON_3_14
ARCHITECTURE = lambda_.Architecture.ARM_64
# Wheels for manylinux 2.28 and older run on Lambda; pip needs every platform tag listed.
_PLATFORM = [
    *("--platform", "manylinux_2_28_aarch64", "--platform", "manylinux_2_27_aarch64"),
    *("--platform", "manylinux_2_17_aarch64", "--platform", "manylinux2014_aarch64"),
    *("--implementation", "cp", "--python-version", "3.14", "--only-binary=:all:"),
]


@jsii.implements(cdk.ILocalBundling)
class WheelBundling:
    """Bundling that installs the locked wheels into the layer's ``python/`` folder."""

    def __init__(self, lockfile: Path) -> None:
        self._lockfile = lockfile

    def try_bundle(self, output_dir: str, *_: object, **__: object) -> bool:
        """Install the wheels and return True; on False the CDK would bundle with Docker."""
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
        # Some pip versions check Requires-Python against the running Python instead of --python-version.
        command += [*_PLATFORM, "--ignore-requires-python", "--requirement", str(self._lockfile)]
        subprocess.run([*command, "--target", f"{output_dir}/python"], check=True)
        return True


class DependencyLayer(lambda_.LayerVersion):
    """A layer of the packages in ``lockfile``, rebuilt only when the lockfile or the target platform changes.

    With ``bundled=False`` it has the lockfile instead of the packages.
    """

    def __init__(self, scope: Construct, id: str, *, lockfile: Path, bundled: bool) -> None:
        super().__init__(
            scope,
            id,
            code=lambda_.Code.from_asset(str(lockfile.parent), **(_wheels(lockfile) if bundled else {})),
            compatible_architectures=[ARCHITECTURE],
            compatible_runtimes=[RUNTIME],
        )


def _wheels(lockfile: Path) -> dict[str, Any]:
    """Return the options of an asset that has the packages of a lockfile."""
    return {
        "asset_hash": hashlib.sha256(lockfile.read_bytes() + b"python3.14-arm64").hexdigest(),
        "asset_hash_type": cdk.AssetHashType.CUSTOM,
        "bundling": cdk.BundlingOptions(
            image=cdk.DockerImage.from_registry("never-pulled"), local=WheelBundling(lockfile)
        ),
    }
