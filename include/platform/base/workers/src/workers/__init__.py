"""Takes orders from a Redis stream, fills them, keeps exposure, PnL and the kill switch."""
