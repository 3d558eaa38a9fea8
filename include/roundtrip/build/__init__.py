"""Section 2.9 of the plan: built once, reproducible, described by an SBOM and checksums."""
