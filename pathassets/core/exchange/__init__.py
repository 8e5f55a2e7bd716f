"""Features as other tools say them: footprints, names, and what cannot be said."""
