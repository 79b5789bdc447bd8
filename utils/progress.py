"""What the terminal shows of a run: a bar for the whole, one for each running fold."""

import sys
from typing import Any

from tqdm import tqdm

BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{remaining} left{postfix}]"
LOG_INTERVAL_S = 30.0  # where nobody watches a terminal


class RunProgress:
    """Turns the folds' events into tqdm bars on stderr.

    Args:
        folds: Numbers of the folds that will run.
        epochs: Epochs a fold.
        quiet: No bars, only warnings.
    """

    def __init__(self, folds: list[int], epochs: int, *, quiet: bool = False) -> None:
        interactive = sys.stderr.isatty()
        self.epochs, self.quiet = epochs, quiet
        self.options: dict[str, Any] = {
            "bar_format": BAR,
            "dynamic_ncols": True,
            "disable": quiet,
            "mininterval": 0.1 if interactive else LOG_INTERVAL_S,
            "maxinterval": 10.0 if interactive else LOG_INTERVAL_S,
        }
        self.whole = tqdm(
            total=len(folds) * epochs, desc="all folds", unit="epoch", **self.options
        )
        self.bars: dict[int, tqdm] = {}

    def __call__(self, event: dict[str, Any]) -> None:
        """Show one event."""
        if "warning" in event:
            where = f"fold {event['fold']}: " if "fold" in event else ""
            tqdm.write(f"{where}{event['warning']}", file=sys.stderr)
        if "epoch" in event:
            self._show_epoch(event)
        if event.get("stage") == "done":
            bar = self.bars.pop(event["fold"], None)
            if bar is not None:
                bar.close()

    def _show_epoch(self, event: dict[str, Any]) -> None:
        """Move the fold's bar to its epoch, and the whole along with it."""
        number, done = event["fold"], event["epoch"] + 1
        if number not in self.bars:
            self.bars[number] = tqdm(
                total=self.epochs,
                desc=f"fold {number}",
                leave=False,
                initial=event["epoch"],
                position=1 + len(self.bars),
                **self.options,
            )
            self.whole.update(event["epoch"])  # done before, by a run that was cut
            self.whole.initial += event["epoch"]
        figures = {
            label: f"{event[name]:.3f}"
            for name, label in (
                ("accuracy", "train"),
                ("validation_accuracy", "chosen on"),
                ("test_accuracy", "test"),
            )
            if name in event
        }
        self.bars[number].set_postfix(figures, refresh=False)
        self.bars[number].update(done - self.bars[number].n)
        self.whole.update(1)

    def close(self) -> None:
        """Leave the terminal clean."""
        for bar in [*self.bars.values(), self.whole]:
            bar.close()
