"""Runs a strategy on recorded prices."""
