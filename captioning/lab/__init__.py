"""The laboratory: what the paper claims, computed in worlds whose true distribution is known."""
