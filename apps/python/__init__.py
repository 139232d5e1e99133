"""The library for Python: sleep_stager.py is all of it."""
