"""Pictures of avatars, alone: colours, normals, depth and masks, with the cameras that see them."""
