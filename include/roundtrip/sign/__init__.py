"""Section 3.3 of the plan: tag, sign, publish. What it makes is judged by `verification`, which holds no private key."""
