"""What the converted files are made of: built-in operators, and the number formats of their precision."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from pipeline.constants import ARCHITECTURES, PRECISIONS
from tests.export.steps import run_steps

OPERATORS = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
TYPES = {v: k for k, v in vars(schema.TensorType).items() if not k.startswith("_")}
every = pytest.mark.parametrize("architecture", ARCHITECTURES)


def operations(path):
    """[(operator, types of its inputs, of its outputs)] of a .tflite."""
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    codes = [OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    (graph,) = model.subgraphs

    def types(tensors):
        return [TYPES[graph.tensors[i].type] for i in tensors if i >= 0]

    return [(codes[op.opcodeIndex], types(op.inputs), types(op.outputs)) for op in graph.operators]


@every
def test_every_file_runs_with_built_in_operators_alone(bundle, files, architecture):
    for path in [bundle / "sensing.tflite", *(files(architecture, precision) for precision in PRECISIONS)]:
        model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
        assert all(code.customCode is None for code in model.operatorCodes), path.name
        names = {name for name, _, _ in operations(path)}
        assert not names & {"CUSTOM", "WHILE", "CALL_ONCE", "VAR_HANDLE"}
        out = run_steps(path.read_bytes())
        assert all(np.isfinite(x).all() for x in out.values())
        if "stage_probabilities" in out:
            np.testing.assert_allclose(out["stage_probabilities"].sum(), 1, atol=0.02)


@every
def test_number_formats(bundle, files, architecture):
    def products(precision):
        rows = operations(files(architecture, precision))
        return {(tuple(i[:2]), o[0]) for name, i, o in rows if name == "FULLY_CONNECTED"}

    assert products("float32") == {(("FLOAT32", "FLOAT32"), "FLOAT32")}
    assert products("dynamic") == {(("FLOAT32", "FLOAT32"), "FLOAT32")}
    small = [name for name, inputs, _ in operations(files(architecture, "dynamic")) if inputs == ["INT8"]]
    assert len(small) >= 4
    assert set(small) == {"DEQUANTIZE"}
    assert products("int8") == {(("INT8", "INT8"), "INT8")}
    assert products("int16x8") == {(("INT16", "INT8"), "INT16")}
    halves = [name for name, inputs, _ in operations(files(architecture, "float16")) if inputs == ["FLOAT16"]]
    assert len(halves) >= 4
    assert set(halves) == {"DEQUANTIZE"}
    whole, half = (files(architecture, name).stat().st_size for name in ("float32", "float16"))
    assert half < 0.7 * whole
    assert files(architecture, "dynamic").stat().st_size < half
    small = {"INT8", "INT16", "FLOAT16"}
    assert not small & {t for _, i, o in operations(bundle / "sensing.tflite") for t in i + o}
