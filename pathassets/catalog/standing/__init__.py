"""What is wanted of each slide, kept, and what looks at the store found of it."""
