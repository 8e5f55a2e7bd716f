"""What Dagster is told of each slide: materializations, checks, data versions."""
