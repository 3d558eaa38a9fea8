"""Generated client traffic, and the account it keeps of every request.

The account is independent of the platform: it is written by the client side only, and "not one failed
request"
is judged from it. Who deploys asks for its rate (`rate`). Start it by `python -m roundtrip.traffic`, read it by
`account.TrafficAccount`.
"""
