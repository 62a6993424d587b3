"""The paths of the API: one module per subject; each route calls one service."""
