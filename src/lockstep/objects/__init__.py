"""The one door to object stores: list, read, write once and delete, in lockstep's words and lockstep's errors."""
