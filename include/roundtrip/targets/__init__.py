"""Targets: places where a deployment can be. Two verbs only: observe and converge.

Imports `plan`, `ledger` and `errors`, never a section.
"""
