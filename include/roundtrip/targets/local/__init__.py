"""The local target: processes under supervisord, traffic through Traefik, a Redis for each environment, all on loopback."""
