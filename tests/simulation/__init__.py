"""Whole federations in memory, thousands of them: the real engine in a network that lies, loses and comes back."""
