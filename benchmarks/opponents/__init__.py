"""The peers, one command each."""
