"""`tarfile` with its filters, which keep a member of an archive from leading out of the folder that it is unpacked in.

Python 3.11 has them since 3.11.4; Debian 12 has 3.11.2.
"""

from __future__ import annotations

import sys

if sys.version_info >= (3, 11, 4):
    import tarfile
else:
    from backports import tarfile  # type: ignore[no-redef]  # the same for who uses it

__all__ = ["tarfile"]
