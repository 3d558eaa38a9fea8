"""Our judge beside the rules of Argo Rollouts, Flagger and Kayenta, on the same simulated traffic.

`python -m benchmarks.judges` prints the tables of docs/gates.md.
"""
