"""How databases are spoken to: opened, migrated, told apart, asked by people."""
