"""The commands train, explain, prepare and export, and the only code that knows Hydra."""
