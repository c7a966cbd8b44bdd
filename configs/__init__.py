"""Presets of the fitting methods, one YAML file an experiment."""
