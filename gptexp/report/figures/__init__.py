"""The figures of a report. Each is a function from the results of a study to a `Drawing`, and reads no file.

A new figure says which data it shows, as lists of marks (`marks.py`) on axes (`axes.py`):

    def tokens_per_second(study: StudyRuns) -> Drawing | None:
        marks, names = [], []
        for arm in study.arms:
            rows, style = study.steps_of(arm), style_arm(arm.index)
            marks.append(Line(rows["step"], rows["tokens_per_sec"], style_line(style)))
            names.append(Name(arm.label, style, (rows["step"].iloc[-1], rows["tokens_per_sec"].iloc[-1])))
        steps = study.steps
        panel = Panel(marks, make_step_axis(steps["step"].max()), Axis(0, steps["tokens_per_sec"].max(), "tokens/s"))
        return Drawing(..., data=steps, draw=partial(draw_plot, Plot([panel], names=names)))

`draw_plot` (several panels, lines named at their ends or in a legend, notes) and `draw_rows` (a row of dots per arm)
decide the layout on wide and narrow pages. One line in `parts.py` makes the figure known to report files.
"""
