"""What staging, production and rollback share: bringing an environment to a deployment, snapshots, gates.

Imports `release` and below; the sections import it.
"""
