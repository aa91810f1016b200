"""The rows of a suite beside one another: what was found of them, tested, drawn and shown."""
