"""Plan 3.1 and 3.2: staging, and the stand-in for GitHub that its login goes through."""
