"""The operations that TensorFlow Lite Micro supports, and the MicroMutableOpResolver method that adds each."""

from collections.abc import Iterable

METHODS = """
    Abs Add AddN ArgMax ArgMin AveragePool2D BatchMatMul BatchToSpaceNd BroadcastArgs BroadcastTo Cast Ceil
    Concatenation Conv2D Cos CumSum DepthToSpace DepthwiseConv2D Dequantize Div Elu EmbeddingLookup Equal Exp ExpandDims
    Fill Floor FloorDiv FloorMod FullyConnected Gather GatherNd Greater GreaterEqual HardSwish L2Normalization L2Pool2D
    LeakyRelu Less LessEqual Log LogSoftmax LogicalAnd LogicalNot LogicalOr Logistic MaxPool2D Maximum Mean Minimum
    MirrorPad Mul Neg NotEqual Pack Pad PadV2 Prelu Quantize ReduceMax ReduceMin Relu Relu6 Reshape ResizeBilinear
    ResizeNearestNeighbor ReverseV2 Round Rsqrt SelectV2 Shape Sin Slice Softmax SpaceToBatchNd SpaceToDepth Split
    SplitV Sqrt Square SquaredDifference Squeeze StridedSlice Sub Sum Svdf Tanh Transpose TransposeConv
    UnidirectionalSequenceLSTM Unpack ZerosLike
"""  # except those for variables and subgraphs, which no bundle uses
METHOD_OF = {method.upper(): f"Add{method}" for method in METHODS.split()}


def methods(operations: Iterable[str], file: str) -> list[str]:
    """The methods that add operations to a resolver.

    Args:
        operations: Names as in the TFLite schema, such as FULLY_CONNECTED.
        file: The model's file, for the message.

    Returns:
        Method names in alphabetical order.

    Raises:
        ValueError: TensorFlow Lite Micro lacks an operation.
    """
    found = {name: METHOD_OF.get(name.replace("_", "")) for name in operations}
    if lacking := [name for name, method in found.items() if method is None]:
        raise ValueError(f"{file}: TensorFlow Lite Micro has no {', '.join(lacking)}")
    return sorted(filter(None, found.values()))
