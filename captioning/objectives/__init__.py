"""Training objectives: one file each, its pure functions first, then its class."""
