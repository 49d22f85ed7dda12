"""Long trials: random work on real processes, which are killed at random moments (`make torture`)."""
