"""What is wanted of each slide, in the catalog: planned where it is not, and looked at."""
