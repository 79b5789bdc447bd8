"""What the terminal shows of a run: a bar for the whole, one for each running fold."""

import functools
import io
import sys
import time
from typing import Any

from tqdm import tqdm

# A bar where a terminal shows it, and nothing in a log.
terminal_bar = functools.partial(tqdm, disable=None)
BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{remaining} left{postfix}]"
LINE = "{desc}: {n_fmt} of {total_fmt} epochs, {remaining} left{postfix}"
LINE_INTERVAL_S = 30.0  # where nobody watches a terminal
WORDS = {
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
        if "stage" in event:
            self._show_stage(event["fold"], event["stage"])

    def _count_epoch(self, event: dict[str, Any]) -> None:
        """Move the fold's bar to its epoch, and the whole along with it."""
        before = event["epoch"]
        bar = self._bar_of(event["fold"], before)
        figures = [f"{WORDS[k]} {v:.3f}" for k, v in event.items() if k in WORDS]
        bar.set_postfix_str(", ".join(figures), refresh=False)
        self.whole.update(before + 1 - bar.n)
        bar.update(before + 1 - bar.n)
        if not self.has_bars and not self.quiet:
            self._write_line(bar)

    def _bar_of(self, number: int, done: int) -> tqdm:
        """A fold's bar; a new one begins at the epochs that an earlier run has done."""
        if number not in self.bars:
            taken = {abs(bar.pos) for bar in self.bars.values()}
            position = min(set(range(1, len(taken) + 2)) - taken)
            bar = self._bar(f"fold {number}", self.epochs, position)
            # `last_print_n`, too: what was done before must not count as speed
            self.whole.initial += done
            self.whole.n += done
            self.whole.last_print_n += done
            bar.n = done
            bar.initial = bar.last_print_n = min(done + 1, self.epochs)
            self.bars[number] = bar
        return self.bars[number]

    def _show_stage(self, number: int, stage: str) -> None:
        """What is done after the last epoch, also with a fold trained before."""
        bar = self._bar_of(number, self.epochs)
        bar.set_postfix_str(stage)
        if stage == "done":
            self.bars.pop(number).close()
            self.whole.refresh()

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
