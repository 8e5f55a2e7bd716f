"""Patch locations -> pixels that users have: in memory, on the disk, or as a patch set."""
