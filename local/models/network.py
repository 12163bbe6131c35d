"""EfficientNet-Lite0, the student's frozen backbone: PyTorch weights converted to ONNX and run by OpenCV.

ONNX avoids a dependency on PyTorch. Batch normalisation is folded into the convolutions. The padding is explicit,
because OpenCV 5 computes ``auto_pad=SAME_UPPER`` incorrectly for a stride of 2.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from local.models.weights import STUDENT_BACKBONE, read_tensors

if TYPE_CHECKING:
    import cv2
    import onnx

SIDE = 224
CLASSES = 1000
EMBEDDING = 1456
# Repeats, kernel, stride, expansion and output channels of each stage (EfficientNet-B0 without squeeze-and-excitation).
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
POOLED_CHANNELS = (24, 40, 112)
"""Output channels of the stages whose averages are in the embedding; earlier stages represent texture and layout."""
NORMALISATION_EPSILON = 1e-3


def load_network(cache: Path) -> cv2.dnn.Net:
    """Return the network; the first call converts the installed weights into ``cache``. Raise WeightsMissing.

    Input ``images`` is float32 of shape (1, 3, 224, 224), (RGB - 127) / 128. Outputs are ``logits`` of shape (1, 1000)
    and ``embedding`` of shape (1, 1456).
    """
    import cv2

    return cv2.dnn.readNetFromONNX(str(convert_weights(cache)))


def convert_weights(cache: Path) -> Path:
    """Return the ONNX file in ``cache``, whose name has the weights' SHA-256; write it atomically if it is missing."""
    target = cache / f"efficientnet-lite0-{STUDENT_BACKBONE.sha256[:12]}.onnx"
    if not target.is_file():
        model = build_model(read_tensors(STUDENT_BACKBONE.locate()))
        cache.mkdir(parents=True, exist_ok=True)
        descriptor, unfinished = tempfile.mkstemp(dir=cache, suffix=".tmp")
        with os.fdopen(descriptor, "wb") as file:
            file.write(model.SerializeToString())
        Path(unfinished).replace(target)
    return target


def build_model(tensors: dict[str, np.ndarray]) -> onnx.ModelProto:
    """Return EfficientNet-Lite0 as a checked ONNX model."""
    import onnx
    from onnx import TensorProto, helper

    graph = _Graph(tensors)
    logits, embedding = _efficientnet(graph)
    proto = helper.make_graph(
        graph.nodes,
        "efficientnet-lite0",
        inputs=[helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        outputs=[
            helper.make_tensor_value_info(logits, TensorProto.FLOAT, [1, CLASSES]),
            helper.make_tensor_value_info(embedding, TensorProto.FLOAT, [1, EMBEDDING]),
        ],
        initializer=graph.constants,
    )
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _efficientnet(graph: _Graph) -> tuple[str, str]:
    current = graph.convolution("images", "_conv_stem", "_bn0", stride=2)
    pooled = []
    block = 0
    for repeats, _, stride, expansion, channels in STAGES:
        for repeat in range(repeats):
            prefix = f"_blocks.{block}."
            current = _block(graph, current, prefix, stride if repeat == 0 else 1, expansion, shortcut=repeat > 0)
            block += 1
        if channels in POOLED_CHANNELS:
            pooled.append(graph.average(current))
    top = graph.average(graph.convolution(current, "_conv_head", "_bn1"))
    weight, bias = graph.constant("_fc.weight"), graph.constant("_fc.bias")
    logits = graph.node("Gemm", [top, weight, bias], output="logits", transB=1)
    return logits, graph.node("Concat", [top, *pooled], output="embedding", axis=1)


def _block(graph: _Graph, start: str, prefix: str, stride: int, expansion: int, *, shortcut: bool) -> str:
    current = start
    if expansion > 1:
        current = graph.convolution(current, f"{prefix}_expand_conv", f"{prefix}_bn0")
    current = graph.convolution(current, f"{prefix}_depthwise_conv", f"{prefix}_bn1", stride=stride, depthwise=True)
    current = graph.convolution(current, f"{prefix}_project_conv", f"{prefix}_bn2", activation=False)
    return graph.node("Add", [start, current]) if shortcut else current


@dataclass
class _Graph:
    """Builder of an ONNX graph: collects nodes and constants and names each result."""

    tensors: dict[str, np.ndarray]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._add_constant("zero", np.array(0.0))
        self._add_constant("six", np.array(6.0))

    def convolution(
        self,
        source: str,
        weight: str,
        normalisation: str,
        *,
        stride: int = 1,
        depthwise: bool = False,
        activation: bool = True,
    ) -> str:
        """Add a convolution with its batch normalisation folded in, followed by ReLU6 if ``activation``."""
        kernel = self.tensors[f"{weight}.weight"]
        scale, offset = self._folded(normalisation)
        self._add_constant(f"{weight}.folded", kernel * scale[:, None, None, None])
        self._add_constant(f"{weight}.offset", offset)
        result = self.node(
            "Conv",
            [source, f"{weight}.folded", f"{weight}.offset"],
            pads=_same_padding(kernel.shape[2], stride),
            strides=[stride, stride],
            group=kernel.shape[0] if depthwise else 1,
            kernel_shape=list(kernel.shape[2:]),
        )
        return self.node("Clip", [result, "zero", "six"]) if activation else result

    def average(self, source: str) -> str:
        """Add the average over all positions, shape (1, channels)."""
        return self.node("Flatten", [self.node("GlobalAveragePool", [source])])

    def constant(self, tensor: str) -> str:
        """Add one tensor of the weights unchanged."""
        self._add_constant(tensor, self.tensors[tensor])
        return tensor

    def node(self, operation: str, inputs: list[str], *, output: str | None = None, **attributes: Any) -> str:
        """Add one operation and return the name of its result."""
        from onnx import helper

        output = output or f"{operation.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, inputs, [output], **attributes))
        return output

    def _folded(self, normalisation: str) -> tuple[np.ndarray, np.ndarray]:
        gamma, beta, mean, variance = (
            self.tensors[f"{normalisation}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + NORMALISATION_EPSILON)
        return scale, beta - mean * scale

    def _add_constant(self, name: str, values: np.ndarray) -> None:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))


def _same_padding(kernel: int, stride: int) -> list[int]:
    """Return TensorFlow's SAME padding for even image sides: top, left, bottom, right in pixels."""
    total = kernel - stride
    before = total // 2
    return [before, before, total - before, total - before]
