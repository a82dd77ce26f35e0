"""What all trainings share: losses, metrics, precision, processes and progress."""
