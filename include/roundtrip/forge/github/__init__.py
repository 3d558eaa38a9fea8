"""GitHub, spoken to by githubkit: the release and its assets, the backlog, deployments and statuses, rulesets.

`client` is how it is spoken to, and `patience` how long; `releases`, `assets` and `tags` publish and withdraw, `backlog`, `showing` and `rulesets` do
the rest. Imports `plan`, `ledger` and the git side, never a section: `rollout.on_github` says when each is done.
githubkit is imported here and nowhere else, and nothing here is imported before an environment asks for GitHub.
"""
