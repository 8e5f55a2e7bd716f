"""What the formats share: HDF5, tensors, tables, and the folder that they go to."""
