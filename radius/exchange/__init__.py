"""What has to be remembered between a request and its answer: pure, with the time handed in."""
