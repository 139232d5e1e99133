"""Recordings to nights: read, check, align and cache them, and keep the run folder that starts from them."""
