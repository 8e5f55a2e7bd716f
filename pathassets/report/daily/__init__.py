"""What is told of what is done every day."""
