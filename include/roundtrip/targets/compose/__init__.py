"""The compose target: containers of a Docker Engine, images by digest from a registry, Traefik and Redis as containers.

The platform's own Compose file says how a service is run; what Roundtrip needs of it comes as an overlay beside it.
"""
