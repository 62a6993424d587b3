"""The domain of Biebroam: libraries, realms, trust and what they agree on.

The modules at this level are pure: standard library only, no sockets, no clock, no randomness.
"""
