"""Where there is tissue: stain, quality control, the mask, and how much of it a place has."""
