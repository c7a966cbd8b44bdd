"""From a video of a person to what fitting an avatar needs: frames, landmarks, masks, crops."""
