"""Packets by attribute name, for what Biebroam builds itself and people read; what it forwards never comes here."""
