"""A page for whatever the records hold: one chapter per study and scale, each with everything its runs can show.

Command:  gptexp report            (all studies)
          gptexp report study --runs-dir runs
Parts that have no data are left out, so that an untrained study shows its initial losses and nothing else.
"""

from gptexp.report.declare import Report, StudyChapters

REPORT = Report(
    name="study",
    title="What the runs show",
    chapters=(
        StudyChapters(
            (
                "forks",
                "results",
                "points",
                "decisions",
                "differences",
                "final-val-loss",
                "lr-ladder",
                "lr-sensitivity",
                "initial-loss-table",
                "initial-loss",
                "loss-curves",
                "speed",
                "losses-at-steps",
                "lr-schedules",
                "gradient-norm",
                "natural-spikes",
                "natural-spikes-table",
                "spike-forks",
                "depth-over-time",
                "first-breaks",
                "training",
                "samples",
            ),
        ),
    ),
)
