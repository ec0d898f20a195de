"""tuner against its peers: compare.py and time_to_best.py are the commands."""
