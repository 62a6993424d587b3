"""Keys and certificates: what is kept secret, and whom the federation trusts."""
