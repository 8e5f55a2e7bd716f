"""Where work runs: worker processes and what they hand over, threads ahead, devices."""
