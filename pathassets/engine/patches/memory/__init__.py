"""The in-memory extractors: of one slide by threads, of many by worker processes."""
