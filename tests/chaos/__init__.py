"""Releases of the real platform under real Airflow in which something dies, judged from outside.

    PYTHONPATH=include:. .venv/bin/python -m tests.chaos --seeds 0-199
    PYTHONPATH=include:. .venv/bin/python -m tests.chaos --report

Each seed picks a moment of a release, a fault, how long it lasts, and whether the version is harmful (it trips the kill
switch, so that a gate fails). What happens is then looked at by an observer that shares no code with the product. Builds
are made once; a run takes a minute or two. Results are appended to `.roundtrip/chaos/results.jsonl`, and a campaign that is
cut off goes on with the same command.
"""
