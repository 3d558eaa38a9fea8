"""Programs that the platform's projects are built and checked with, and the projects' dependencies.

Imports `errors` only. `projects.Toolchain` is what sections use; `commands.run` runs one command and says
what went wrong.
"""
