"""Figures that the documents name, each printed by a command: `python -m benchmarks.NAME`. Imports the product, never the tests."""
