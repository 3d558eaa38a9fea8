"""Entry point. Exit codes: 0 drained, 78 the configuration is wrong, 1 it cannot listen or failed."""

from __future__ import annotations

import sys

from backtester.service import main

if __name__ == "__main__":
    sys.exit(main())
