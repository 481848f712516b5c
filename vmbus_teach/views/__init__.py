"""What people look at: the stepper, predictions, tables. Needs ipywidgets; the core does without."""

from .predict import Predict
from .source import source
from .stepper import Stepper
from .tables import Verdicts, judge

__all__ = ["Predict", "Stepper", "Verdicts", "judge", "source"]
