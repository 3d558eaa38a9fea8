"""Benchmarks: what is claimed of speed and of rates is measured here, by commands that docs/ names.

Each is run from the repository's root, with PYTHONPATH=include. May import `roundtrip`; nothing imports this.
"""
