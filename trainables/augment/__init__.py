"""Random changes to training inputs: others for each one, done as one operation a batch."""

from trainables.augment.augment import Augment, as_probabilities
from trainables.augment.draws import DRAWS, Draws, Rows

__all__ = ["DRAWS", "Augment", "Draws", "Rows", "as_probabilities"]
