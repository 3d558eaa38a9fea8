"""Section 2 of the plan, the pre-upgrade checklist: nine items that inspect and do, not confirm.

`items` has one function for each item, and the report that stops the release.
"""
