"""A slide: opened, its pixels read and checked, its file found, copied and inspected."""
