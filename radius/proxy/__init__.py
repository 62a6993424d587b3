"""The proxy: routes requests by realm to home servers, and their answers back."""
