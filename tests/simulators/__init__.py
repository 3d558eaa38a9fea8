"""Real implementations of an outside, small enough for a test to bend. No mocks of calls."""
