"""How a tiled TIFF is built, read byte by byte; its tiles are read by `tiles`."""
