"""Figures of runs, clips and the network; `python -m utils.report.plots --help`.

Each figure is made by a function of its data alone, and saved by `style.save`.
"""
