"""Models under a licence of their own: read from the official files that the user has."""
