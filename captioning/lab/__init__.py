"""The laboratory: the paper's claims, computed in worlds whose true distribution is known."""
