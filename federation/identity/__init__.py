"""Identity stores: where a hosted library's patrons are checked."""
