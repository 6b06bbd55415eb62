"""The commands train, explain and prepare, and the only code that knows Hydra."""
