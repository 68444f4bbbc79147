"""From a trained model to answers: grading photos, measuring a checkpoint, pictures of what it looked at."""
