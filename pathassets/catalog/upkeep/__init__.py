"""What keeps a catalog right: what is asked, hashed, cleared and forgotten of it; dumps."""
