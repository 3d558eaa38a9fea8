"""Smoke tests: what a release has to do end to end, through the front door of an environment (plan 3.2).

A test is a function of a `FrontDoor`; it returns nothing or raises SmokeError. It knows no target and no
plan.
`runner` alone knows the release, the target and the ledger. Used by staging, production and rollback.
"""
