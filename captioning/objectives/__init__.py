"""Training objectives, one per file: first the pure functions, then the class."""
