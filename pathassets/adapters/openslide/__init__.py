"""The door to OpenSlide: the only modules that know it."""
