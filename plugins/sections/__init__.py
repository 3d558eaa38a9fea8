"""Six modules, one per task group, named as the plan names them, and what makes a DAG of a plan.

Imports Airflow's SDK and `roundtrip.plan`; everything heavier is imported when a task runs.
"""
