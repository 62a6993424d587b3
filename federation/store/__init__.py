"""The registry's database: tables, sessions, and what is compiled from them."""
