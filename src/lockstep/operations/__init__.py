"""The operations: the order of the steps, and why."""
