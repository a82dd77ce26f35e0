"""The functions that the bundle, the command line and Python users run."""
