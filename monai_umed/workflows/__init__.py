"""What the bundle and the command line run."""
