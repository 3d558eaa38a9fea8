"""Whether what is about to be deployed is what was built, tested and signed. Used before every deploy and every rollback.

Imports `release` and below; holds no private key.
"""

from __future__ import annotations

from roundtrip.verification.deploys import require_placed, verify_checksums, verify_signatures

__all__ = ["require_placed", "verify_checksums", "verify_signatures"]
