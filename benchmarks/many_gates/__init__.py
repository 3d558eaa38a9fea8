"""A thousand gates in one triggerer. `__main__` says what is real in it and what stands in."""
