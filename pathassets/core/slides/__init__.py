"""What a slide is: facts, resolution, tiles, regions, and what bad tiles do to it."""
