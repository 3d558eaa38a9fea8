"""Processes kept alive by supervisord: one daemon for each folder, reached over a unix socket.

Imports `errors` only. Used by the local target and by the embedded Airflow.
"""
