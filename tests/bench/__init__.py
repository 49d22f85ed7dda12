"""What Ember's speeds are, as ratios measured in one run: `python -m tests.bench`."""
