"""Fields over canonical space: occupancy and skinning weights."""
