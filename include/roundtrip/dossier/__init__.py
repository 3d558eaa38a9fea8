"""The dossier: one page that a release manager can send to an auditor. A pure view of the ledger.

Imports the narrative and the gates' judge; nothing but `closing` and the command line imports it.
"""

from roundtrip.dossier.writing import write, write_dossier

__all__ = ["write", "write_dossier"]
