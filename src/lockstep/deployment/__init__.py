"""The deployment: a database and its stores, bound by the profile that says which objects the metadata references."""
