"""What is done every day: looking after what runs."""
