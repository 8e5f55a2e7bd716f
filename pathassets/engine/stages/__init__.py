"""What is made of one slide: tissue mask, patch locations, patch set, features, embedding."""
