"""What features are: encoders and their cards, rows, embeddings, maps."""
