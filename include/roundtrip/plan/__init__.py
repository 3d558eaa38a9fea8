"""A plan is data: what is released (plan), where (environment), and the values both speak of.

Imports nothing of Roundtrip but `errors`.
"""
