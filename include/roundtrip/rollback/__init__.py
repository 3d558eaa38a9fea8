"""Plan 4: take the release back, state included, and prove it. One module for each kind of thing that is restored."""
