"""Airflow and its PostgreSQL on this machine, from Python packages alone, under one supervisord. Airflow is never imported."""
