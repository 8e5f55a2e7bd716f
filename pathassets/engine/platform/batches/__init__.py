"""The slides of a batch: under way, how fast they go, and tried again where what failed passes."""
