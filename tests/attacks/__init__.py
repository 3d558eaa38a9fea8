"""Bad artefacts made from good ones, and what becomes of each: `python -m tests.attacks` prints the table."""
