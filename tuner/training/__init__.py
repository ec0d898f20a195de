"""One lane, purely: how it starts, trains an epoch and is evaluated. Nothing here knows of several lanes."""
