"""What those who watch many machines are told of a home."""
