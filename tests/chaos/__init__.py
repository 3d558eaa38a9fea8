"""Releases of the real platform under real Airflow in which something dies, judged from outside.

    PYTHONPATH=include:. .venv/bin/python -m tests.chaos --seeds 0-199
    PYTHONPATH=include:. .venv/bin/python -m tests.chaos --report
    PYTHONPATH=include:. .venv/bin/python -m tests.chaos --kind compose --seeds 0-49    # in containers of an engine of its own

Each seed picks a moment of a release, a fault, how long it lasts, and whether the version is harmful (it trips the kill
switch, so that a gate fails). What happens is then looked at by an observer that shares no code with the product. Builds
are made once; a run takes a minute or two. Results are appended to `results.jsonl` in `.roundtrip/chaos`, or `.roundtrip/chaos-compose`,
and a campaign that is cut off goes on with the same command. What differs by kind of environment is its `Ground`; all else is the same.
"""
