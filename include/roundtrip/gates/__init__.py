"""Gates: evidence becomes a verdict. Pure: evidence, fold, eprocess, sequential. Rim: scrape, gate.

Imports `plan`, `ledger` and `errors`, never a target or a section.
"""
