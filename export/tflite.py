"""Reads and writes the bytes of a .tflite: reduces its size, embeds the contract, reads its signature."""

import hashlib
import json
import os
from pathlib import Path

import flatbuffers
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from pipeline.quiet import native_stderr_silenced

METADATA = "wristsleep_contract"  # name of the metadata buffer in a .tflite


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def rewrite(content: bytes, contract: dict | None = None) -> bytes:
    """Reduce the size of a .tflite and, if a contract is given, embed it as metadata, replacing an earlier one.

    The converter's tensor names (paths), empty buffers and empty quantization tables make up most of a small file.
    Names are shortened, and empty or equal buffers merged.

    Args:
        content: Bytes of a .tflite.
        contract: JSON value to embed.

    Returns:
        The new bytes.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    index_of, buffers = {b"": 0}, [model.buffers[0]]

    def buffer_of(data):
        """Index of the shared buffer with these bytes."""
        data = b"" if data is None else bytes(data)
        if data not in index_of:
            index_of[data] = len(buffers)
            buffers.append(schema.BufferT())
            buffers[-1].data = list(data)
        return index_of[data]

    for graph in model.subgraphs:
        for i, tensor in enumerate(graph.tensors):
            tensor.name = f"t{i}"
            tensor.buffer = buffer_of(model.buffers[tensor.buffer].data)
            if tensor.quantization is not None and tensor.quantization.scale is None:
                tensor.quantization = None
    entries = [entry for entry in model.metadata or [] if not contract or _name(entry) != METADATA]
    for entry in entries:
        entry.buffer = buffer_of(model.buffers[entry.buffer].data)
    if contract:
        entries.append(schema.MetadataT())
        entries[-1].name = METADATA
        entries[-1].buffer = buffer_of(json.dumps(contract, separators=(",", ":")).encode())
    model.buffers = buffers
    model.metadata = entries
    return pack(model, len(content))


def strip_contract(content: bytes) -> bytes:
    """The bytes of a .tflite with no contract embedded."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    model.metadata = [entry for entry in model.metadata or [] if _name(entry) != METADATA]
    return rewrite(pack(model, len(content)))  # drops the buffer that nothing refers to any more


def embedded_contract(path: Path) -> dict | None:
    """The contract embedded in a .tflite, or None."""
    model = schema.Model.GetRootAs(Path(path).read_bytes())
    for entry in map(model.Metadata, range(model.MetadataLength())):
        if entry.Name() == METADATA.encode():
            return json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    return None


def read_signature(path: Path) -> dict:
    """The only signature of a .tflite.

    Returns:
        {"file", "signature", "inputs" and "outputs": [{"name", "shape", "dtype"}] in graph order}.
    """
    with native_stderr_silenced():
        interpreter = Interpreter(model_path=os.fsencode(path), num_threads=1)
        (signature,) = interpreter.get_signature_list()
        runner = interpreter.get_signature_runner(signature)
    sides = {"inputs": runner.get_input_details(), "outputs": runner.get_output_details()}
    entry = {"file": Path(path).name, "signature": signature}
    for side, details in sides.items():
        entry[side] = [
            {"name": name, "shape": [int(n) for n in details[name]["shape"]], "dtype": details[name]["dtype"].__name__}
            for name in sorted(details, key=lambda name: details[name]["index"])
        ]
    return entry


def tensor_positions(content: bytes) -> dict[str, dict[str, int]]:
    """Positions of the signature's inputs and outputs in graph order, the only way to address them in TFLite Micro.

    Args:
        content: Bytes of a .tflite.

    Returns:
        {"inputs" and "outputs": {name: position}}.
    """
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (graph,), (signature,) = model.subgraphs, model.signatureDefs
    order = {"inputs": graph.inputs.tolist(), "outputs": graph.outputs.tolist()}
    return {
        side: {_name(entry): order[side].index(entry.tensorIndex) for entry in getattr(signature, side)}
        for side in order
    }


def _name(entry):
    return entry.name.decode() if isinstance(entry.name, bytes) else entry.name


def pack(model: schema.ModelT, size: int) -> bytes:
    """Serialize a .tflite. size: estimated size in bytes."""
    builder = flatbuffers.Builder(size)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
