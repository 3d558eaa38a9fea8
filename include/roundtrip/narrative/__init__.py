"""Views of the ledger in words: the timeline, the post-mortem draft, the runbook and the backlog of a
release.

Pure: events in, text out; nothing here decides or acts, and nothing reads a clock. Imports `ledger`,
`plan`, `errors`.
"""
