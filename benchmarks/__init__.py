"""Measurements that are not part of a run: what a step costs."""
