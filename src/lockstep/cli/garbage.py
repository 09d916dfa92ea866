"""How often Python looks for garbage in the processes of the command line."""

GARBAGE = (20_000, 20, 50)
"""When Python looks for garbage in cycles, of which there is little here. At its default, 700, it looks so often at what stays that a
sixth of the time of the imports goes there."""
