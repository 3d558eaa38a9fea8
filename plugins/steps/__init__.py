"""How one step of a section becomes an Airflow task. Imports Airflow and, when a task runs, `roundtrip`."""
