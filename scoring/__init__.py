"""Compares predicted with scored stages: metrics, sleep statistics, plots, and prediction files."""
