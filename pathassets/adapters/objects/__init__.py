"""Object storage, S3 and its like: a URL -> a place of objects."""
