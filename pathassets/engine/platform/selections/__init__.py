"""What selections name: words that no slide has, and those that there are."""
