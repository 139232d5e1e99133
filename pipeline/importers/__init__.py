"""Converts exports and research sets into the layout of sleep-accel: one file per source."""
