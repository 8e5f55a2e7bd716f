"""Image files: written, read, measured before they are decoded, and kept in tar shards."""
