"""How good a fitted head is: likeness to held-out frames, truth where it is known, a sweep through expressions."""
