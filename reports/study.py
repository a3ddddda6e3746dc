"""A page for whatever the records hold: one section per study and scale, each with everything its runs can show.

Command:  gptexp report            (all studies)
          gptexp report study --runs-dir runs
Parts that have no data are left out, so that an untrained study shows its initial losses and nothing else.
"""

from gptexp.report.declare import EVERY_STUDY, Report, Section

REPORT = Report(
    name="study",
    title="What the runs show",
    sections=(
        Section(
            study=EVERY_STUDY,
            parts=(
                "results",
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
                "training",
                "samples",
            ),
        ),
    ),
)
