"""Other processes, on this machine and on others, that do a share of the work; what the work is, they are told."""
