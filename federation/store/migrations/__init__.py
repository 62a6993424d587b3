"""The schema's history; run by `Store.migrate`."""
