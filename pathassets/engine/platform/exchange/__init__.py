"""Features to files of other tools, and files of other tools to features."""
