"""What must run without TensorFlow imports neither it nor Keras, in a process of its own."""

import pytest

PROBE = "import sys; import {}; print(*sorted({{'tensorflow', 'keras'}} & {{*sys.modules}}))"


@pytest.mark.parametrize("modules", ["pipeline.run_folder", "export.runner, watch_sim.predict", "pipeline.__main__"])
def test_neither_tensorflow_nor_keras_is_imported(modules, run_python):
    result = run_python("-c", PROBE.format(modules))
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


def test_the_probe_sees_an_import_of_tensorflow(run_python):
    assert run_python("-c", PROBE.format("pipeline.batches")).stdout.split() == ["keras", "tensorflow"]
