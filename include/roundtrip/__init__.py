"""Roundtrip: release orchestration that carries out an upgrade plan and can always take it back.

Plain Python: nothing below this package imports Airflow. `docs/architecture.md` has the map.
"""
