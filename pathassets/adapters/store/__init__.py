"""The store: artifacts as folders, published whole or not at all, and looked at for damage."""
