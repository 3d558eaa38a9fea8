"""A service's own Dockerfile as an image that is the same whenever and wherever it is built.

1. `composefile`: what the platform's Compose file says of the services, as Compose itself reads it.
2. `building`: the engine builds the Dockerfile; what it has made is exported.
3. `canonical`: what the moment of the build has left in there is taken out.
4. `publishing`: the engine takes that back and pushes it to the registry, which names it by its digest.
5. `making`: the steps of a release that do all of this, and what they write into the ledger.
"""
