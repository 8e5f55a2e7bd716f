"""What is missing, stale or failed -> current, in one run: which slides, the job, its sensor."""
