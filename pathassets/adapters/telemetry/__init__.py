"""What is told to systems beside this one: lines of JSON, metrics, lineage, alerts."""
