"""The command line: `./roundtrip`. Prepares a machine, talks to Airflow by its REST API, shows what the ledger says."""
