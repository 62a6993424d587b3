"""The home-server role: ends EAP for the realms that Biebroam hosts and asks an identity store."""
