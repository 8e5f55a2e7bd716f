"""What was made -> what of it is needed, and what can go."""
