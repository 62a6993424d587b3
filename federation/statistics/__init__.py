"""What the running workers of this node say about themselves, and how it is shown."""
