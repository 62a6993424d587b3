"""Settings, logging, paths and data that ships with Biebroam."""
