"""How much protection a release gives: trainings on it, and what they are compared with."""
