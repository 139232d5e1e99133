"""What must run without TensorFlow imports neither it nor Keras, in a process of its own."""

PROBE = "import sys; import {}; print(*sorted({{'tensorflow', 'keras'}} & {{*sys.modules}}))"


def test_neither_tensorflow_nor_keras_is_imported(run_python):
    result = run_python("-c", PROBE.format("pipeline.run_folder, export.runner, watch_sim.predict, pipeline.__main__"))
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


def test_the_probe_sees_an_import_of_tensorflow(run_python, tmp_path):
    """Of files of these names, as the packages take seconds to import."""
    for name in ("keras", "tensorflow"):
        (tmp_path / f"{name}.py").touch()
    (tmp_path / "batches.py").write_text("import tensorflow, keras")
    assert run_python("-c", PROBE.format("batches"), cwd=tmp_path).stdout.split() == ["keras", "tensorflow"]
