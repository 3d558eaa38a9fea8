"""Reports errors by the real Sentry SDK, as a service that is careless with secrets does.

Reads lines of JSON {dsn, release, fault, secret}; answers each with the event's id once it is sent.
"""

import json
import sys

import sentry_sdk


def charge(secret):
    raise ValueError(f"the card {secret} was refused")


def settle(secret):
    raise KeyError(secret)


def price(secret):
    raise ZeroDivisionError(secret)


FAULTS = {"charge": charge, "settle": settle, "price": price}

for line in sys.stdin:
    told = json.loads(line)
    sentry_sdk.init(dsn=told["dsn"], release=told["release"], server_name=told["secret"])
    sentry_sdk.set_tag("card", told["secret"])
    if told["fault"] == "log":
        event = sentry_sdk.capture_message(f"card {told['secret']} was refused", level="error")
    else:
        try:
            FAULTS[told["fault"]](told["secret"])
        except (LookupError, ValueError, ArithmeticError) as error:
            event = sentry_sdk.capture_exception(error)
    sentry_sdk.flush(timeout=10)
    print(event, flush=True)
