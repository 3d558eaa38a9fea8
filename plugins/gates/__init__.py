"""Gates as Airflow sees them: a sensor that starts and ends in the triggerer. The judging is in `roundtrip.gates`."""
