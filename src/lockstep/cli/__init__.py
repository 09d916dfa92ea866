"""The command line: options become settings, an operation runs, its result is shown."""
