"""The Python library: sleep_stager.py is self-contained."""
