"""Real container parts for tests: an engine, a registry, and images made of what is on the machine. None is pulled."""
