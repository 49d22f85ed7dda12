"""The window: widgets only; what they show comes from the services."""
