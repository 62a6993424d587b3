"""A device and its access point in one: the EAP client behind `probe` and `demo`."""
