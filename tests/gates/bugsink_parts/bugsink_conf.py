"""Bugsink's settings, read by Bugsink's own Python: everything in BUGSINK_FOLDER, nothing in the background."""

import os
from pathlib import Path

from bugsink.settings.default import *  # noqa: F403

FOLDER = Path(os.environ["BUGSINK_FOLDER"])
ADDRESS = os.environ["BUGSINK_ADDRESS"]

SECRET_KEY = "of-a-server-that-lives-for-one-test-run-and-listens-on-loopback"
ALLOWED_HOSTS = ["127.0.0.1"]
DATABASES["default"]["NAME"] = str(FOLDER / "db.sqlite3")  # noqa: F405
DATABASES["snappea"]["NAME"] = str(FOLDER / "snappea.sqlite3")  # noqa: F405
SNAPPEA = {"TASK_ALWAYS_EAGER": True}
"""An event is whole when the SDK's request is answered, so no test has to wait for it."""
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
BUGSINK = {
    "BASE_URL": f"http://{ADDRESS}",
    "SINGLE_USER": True,
    "SINGLE_TEAM": True,
    "PHONEHOME": False,
    "INGEST_STORE_BASE_DIR": str(FOLDER / "ingestion"),
}


class _TablesFromModels(dict):
    """Tables are made from the models at once: the hundred migrations of an old database take three times as long."""

    def __contains__(self, app):
        return True

    def __getitem__(self, app):
        return None


MIGRATION_MODULES = _TablesFromModels()
