"""Whether a gate can be led to a false PASS, or to a crash, by what happens to its evidence."""
