"""Pictures of runs and recordings; see `python -m utils.report.plots --help`.

Each picture is drawn by a function of its data alone, and saved by `style.save`.
"""
