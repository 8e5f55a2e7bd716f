"""Features of many slides -> a split table, what may leak across its parts, what changed in it."""
