"""Where patches are: the twelve location classes, their pools, and `PatchesMock`."""
