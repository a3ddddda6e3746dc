"""The lesson's notebook: how it is built, its checks, and what its cells need and the student need not type."""

from gptexp.notebook.check_data import check_evaluate, check_windows
from gptexp.notebook.check_schedule import check_schedule
from gptexp.notebook.check_training import check_loss, check_train_step
from gptexp.notebook.guesses import GuessTable, compare
from gptexp.notebook.pictures import plot_losses, plot_norms, plot_rates, show_study
from gptexp.notebook.progress import track
from gptexp.notebook.texts import Samples, quote_lesson, show_predictions

__all__ = [
    "GuessTable",
    "Samples",
    "check_evaluate",
    "check_loss",
    "check_schedule",
    "check_train_step",
    "check_windows",
    "compare",
    "plot_losses",
    "plot_norms",
    "plot_rates",
    "quote_lesson",
    "show_predictions",
    "show_study",
    "track",
]
