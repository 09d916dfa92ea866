"""The repository: what was backed up, where it lies, and when it counts."""
