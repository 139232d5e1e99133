"""Brings nights from where people have them into the layout of sleep-accel: one file per source."""
