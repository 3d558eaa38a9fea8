"""Our judge beside the rules of Argo Rollouts, Flagger and Kayenta, on the same traffic, simulated and recorded.

`python -m benchmarks.judges` prints the tables of docs/gates-measured.md, `benchmarks.judges.record` makes a recording.
"""
