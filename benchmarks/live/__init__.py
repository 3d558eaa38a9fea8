"""Releases of the real platform, many of them: how soon a gate finds a fault, and how often it takes a harmless version back."""
