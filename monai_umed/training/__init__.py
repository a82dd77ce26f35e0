"""What every training shares: losses, metrics, precision, processes and progress."""
