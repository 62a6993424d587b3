"""The management API: HTTP only, no queries, no cryptography."""
