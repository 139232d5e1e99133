"""Predicted stages against scored ones: figures, sleep statistics, plots, and the files of predictions."""
