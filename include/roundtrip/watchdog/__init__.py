"""A process beside each environment that takes traffic back when nobody looks after a release any more."""
