"""Arenas of TensorFlow Lite Micro: its allocator's record read, and what there is where it is not installed."""

from export import arenas

RECORD = """
[RecordingMicroAllocator] Arena allocation total 10176 bytes
[RecordingMicroAllocator] Arena allocation head 1920 bytes
[RecordingMicroAllocator] Arena allocation tail 8256 bytes
[RecordingMicroAllocator] 'TfLiteEvalTensor data' used 1128 bytes with alignment overhead (requested 1128 bytes for 47)
[RecordingMicroAllocator] 'Persistent buffer data' used 4260 bytes with alignment overhead (requested 4100 bytes for 38)
[RecordingMicroAllocator] 'NodeAndRegistration struct' used 1856 bytes with alignment overhead (requested 1856 bytes)
"""


def test_a_record():
    small = 10_176 - (1128 + 1856) // 2  # structures of pointers are half as large
    assert arenas.figures(RECORD) == {"bytes": 10_176, "tensors": 1920, "kept": 8256, "bytes_32_bit": small}


def test_nothing_where_it_is_not_installed(monkeypatch, tmp_path):
    monkeypatch.setattr(arenas, "ENVIRONMENT", tmp_path)
    assert arenas.measured_arenas([tmp_path / "x.tflite"]) == {}
