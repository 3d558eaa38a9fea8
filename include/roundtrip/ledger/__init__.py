"""The ledger remembers: an append-only, hash-chained list of events, and the fencing tokens.

Imports `errors` only (and `plan` where an event carries a part of one).
"""
