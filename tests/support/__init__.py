"""What the tests share: real peers, free ports, test certificates."""
