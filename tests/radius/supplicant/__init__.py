"""The device behind `probe` and `demo`."""
