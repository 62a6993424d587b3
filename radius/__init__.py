"""RADIUS, EAP and RadSec: packets, their exchange, and the roles that serve them."""
