"""What several tests share: made models, fakes, fixtures."""
