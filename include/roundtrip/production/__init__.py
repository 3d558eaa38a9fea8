"""Sections 3.4 and 3.5 of the plan: production by waves, then what the people on call need."""
