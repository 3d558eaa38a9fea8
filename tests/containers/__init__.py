"""Real parts of a world of containers for tests: an engine, a registry and a base image that nothing is pulled for.

All on loopback and unix sockets. A part that cannot be had says so by its `why_none`, the reason of a skip.
"""
