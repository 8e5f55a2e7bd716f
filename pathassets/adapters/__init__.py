"""One door for each foreign package: there its exceptions are translated, and nowhere else."""
