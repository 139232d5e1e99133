"""Measurements that are not part of a run, such as the cost of a step."""
