"""Which protection a dataset can have: a ladder of settings against cheap exploiters, on a fold that is held out."""
