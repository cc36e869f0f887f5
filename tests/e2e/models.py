"""Small models that tell which of them answered."""

import onnx
from onnx import TensorProto, helper


def scale(factor: float) -> bytes:
    """An ONNX model: y [N, 2] = factor * x [N, 2], both FP32."""
    node = helper.make_node("Mul", ["x", "factor"], ["y"])
    graph = helper.make_graph(
        [node],
        "scale",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor("factor", TensorProto.FLOAT, [1], [factor])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def failing_from(factor: float, limit: float) -> bytes:
    """`scale`, which fails (500) on every x that is as large as `limit`."""
    constants = [
        helper.make_tensor("factor", TensorProto.FLOAT, [1], [factor]),
        helper.make_tensor("limit", TensorProto.FLOAT, [], [limit]),
        helper.make_tensor("same", TensorProto.INT64, [2], [-1, 2]),
        # No number of rows can be cut into pieces of that size.
        helper.make_tensor("never", TensorProto.INT64, [2], [-1, 1_000_003]),
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "factor"], ["scaled"]),
            helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
            helper.make_node("Less", ["most", "limit"], ["fine"]),
            helper.make_node("Where", ["fine", "same", "never"], ["shape"]),
            helper.make_node("Reshape", ["scaled", "shape"], ["y"]),
        ],
        "failing_from",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


REQUEST = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 10.0]}]}
"""What to send to `scale` by the Open Inference Protocol."""


def deployment(name: str, model: dict[str, str], **spec: object) -> dict[str, object]:
    """A small ModelDeployment."""
    return {
        "apiVersion": "modelfleet.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {
            "model": model,
            "resources": {
                "requests": {"cpu": "50m", "memory": "64Mi"},
                "limits": {"memory": "512Mi"},
            },
            **spec,
        },
    }
