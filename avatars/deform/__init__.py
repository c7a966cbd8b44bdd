"""Canonical to posed space by learned skinning, and back by forward search."""
