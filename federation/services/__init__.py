"""What can be done with the registry, one module a subject; each change is audited and announced."""
