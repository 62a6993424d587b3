"""The tests of Biebroam; the folders mirror the packages."""
