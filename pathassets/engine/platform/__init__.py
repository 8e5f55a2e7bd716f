"""A home as a whole: what is planned, made, current, stated; ingestion is a folder of its own."""
