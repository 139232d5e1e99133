"""From a trained run to bundles of .tflite files that a mobile developer can use alone."""
