"""What is done every day, for a terminal."""
