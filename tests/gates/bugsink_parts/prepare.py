"""Makes an empty Bugsink with projects and tokens, and prints them; run by Bugsink's own Python.

Arguments: number of projects. Prints JSON: dsns by project number, token for all of them, token for project 1 alone.
"""

import json
import sys

import django

django.setup()

from bsmain.models import AuthToken  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from phonehome.models import Installation  # noqa: E402
from projects.models import Project  # noqa: E402
from teams.models import Team  # noqa: E402

call_command("migrate", run_syncdb=True, verbosity=0)
# What Bugsink's own migrations do beside making tables: readers do not wait for writers, and there is an installation.
with connection.cursor() as cursor:
    cursor.execute("PRAGMA journal_mode=WAL")
Installation.objects.create()
team = Team.objects.create(name="trading")
names = [f"trading{number}" for number in range(1, int(sys.argv[1]) + 1)]
projects = [Project.objects.create(name=name, slug=name, team=team) for name in names]
reader = {"issues_read": True, "events_read": True}
whole = AuthToken.objects.create(**reader)
bound = AuthToken.objects.create(**reader, is_project_bound=True, project=projects[0])
print(
    json.dumps(
        {
            "dsns": {project.id: project.dsn for project in projects},
            "token": whole.token,
            "bound": bound.token,
        }
    )
)
