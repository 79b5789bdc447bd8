"""What the terminal shows of a run: a bar for the whole, one for each running fold."""

import io
import sys
import time
from typing import Any

from tqdm import tqdm

BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{remaining} left{postfix}]"
LINE = "{desc}: {n_fmt} of {total_fmt} epochs, {remaining} left{postfix}"
LINE_INTERVAL_S = 30.0  # where nobody watches a terminal
FIGURES = {
    "accuracy": "train",
    "validation_accuracy": "chosen on",
    "test_accuracy": "test",
}


class RunProgress:
    """Turns the folds' events into tqdm bars on stderr; into lines where none looks.

    Args:
        folds: How many folds will run.
        epochs: Epochs a fold.
        quiet: Only warnings.
    """

    def __init__(self, folds: int, epochs: int, *, quiet: bool = False) -> None:
        self.epochs, self.quiet = epochs, quiet
        self.has_bars = sys.stderr.isatty() and not quiet
        self.bars: dict[int, tqdm] = {}
        self.next_line_s = time.monotonic() + LINE_INTERVAL_S
        self.whole = self._bar("all folds", folds * epochs, 0)

    def _bar(self, name: str, total: int, position: int) -> tqdm:
        """A bar on a line of its own; where there are none, it counts unseen."""
        return tqdm(
            total=total,
            desc=name,
            position=position,
            leave=position == 0,
            bar_format=BAR,
            dynamic_ncols=True,
            file=sys.stderr if self.has_bars else io.StringIO(),
        )

    def __call__(self, event: dict[str, Any]) -> None:
        """Show one event."""
        number = event.get("fold")
        if "warning" in event:
            where = "" if number is None else f"fold {number}: "
            tqdm.write(f"{where}{event['warning']}", file=sys.stderr)
        if "epoch" in event:
            self._count_epoch(event)
        if number in self.bars and event.get("stage") == "done":
            self.bars.pop(number).close()
        elif number in self.bars and "stage" in event:
            self.bars[number].set_postfix_str(event["stage"])

    def _count_epoch(self, event: dict[str, Any]) -> None:
        """Move the fold's bar to its epoch, and the whole along with it."""
        number, before = event["fold"], event["epoch"]
        if number not in self.bars:
            taken = {abs(bar.pos) for bar in self.bars.values()}
            position = min(set(range(1, len(taken) + 2)) - taken)
            self.bars[number] = self._bar(f"fold {number}", self.epochs, position)
            self.whole.initial += before  # done by a run that was cut
            self.whole.n += before
            self.bars[number].initial, self.bars[number].n = before + 1, before
        bar = self.bars[number]
        figures = [f"{FIGURES[k]} {v:.3f}" for k, v in event.items() if k in FIGURES]
        bar.set_postfix_str(", ".join(figures), refresh=False)
        self.whole.update(before + 1 - bar.n)
        bar.update(before + 1 - bar.n)
        if not self.has_bars and not self.quiet:
            self._write_line(bar)

    def _write_line(self, bar: tqdm) -> None:
        """A line on one fold and on the whole, now and then and at a fold's end."""
        if bar.n < bar.total and time.monotonic() < self.next_line_s:
            return
        self.next_line_s = time.monotonic() + LINE_INTERVAL_S
        texts = []
        for each in (bar, self.whole):
            texts.append(each.format_meter(**{**each.format_dict, "bar_format": LINE}))
        print("; ".join(texts), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the terminal clean."""
        for bar in [*self.bars.values(), self.whole]:
            bar.close()
