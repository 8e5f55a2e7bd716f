"""What a run would have to do, and what runs took that are over."""
