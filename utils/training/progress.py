"""What the terminal shows of a run: a bar for all folds, one for each running fold."""

import io
import sys
import time
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
LINE_INTERVAL_S = 30.0  # if stderr is not a terminal
WORDS = {
    "accuracy": "train",
    "validation_accuracy": "chosen on",
    "test_accuracy": "test",
}


@dataclass
class Count:
    """Epochs done of a fold or of all folds.

    Attributes:
        bar: Shows the count in a terminal.
        since_s: Since when epochs are timed.
        done: Epochs done, those of an earlier run included.
        timed: Epochs done since `since_s`.
        left: `40:00 left`.
    """

    bar: tqdm
    since_s: float
    done: int = 0
    timed: int = 0
    left: str = "? left"

    def add(self, epochs: int, *, is_timed: bool) -> None:
        """Count epochs; those of an earlier run are not timed."""
        self.done += epochs
        self.timed += epochs * is_timed
        self.bar.update(epochs)

    @property
    def each_s(self) -> float | None:
        """Average time of the timed epochs; None if there are none."""
        return (time.monotonic() - self.since_s) / self.timed if self.timed else None

    def estimate(self, each_s: float | None) -> None:
        """Set the time left, by the time of an epoch."""
        if each_s is not None:
            left_s = each_s * (self.bar.total - self.done)
            self.left = f"{tqdm.format_interval(left_s)} left"

    def __str__(self) -> str:
        """`fold 0: 60 of 300 epochs, 40:00 left`."""
        return f"{self.bar.desc}: {self.done} of {self.bar.total} epochs, {self.left}"


class RunProgress:
    """Shows fold events as tqdm bars, or as lines if stderr is not a terminal.

    Args:
        folds: How many folds will run.
        epochs: Epochs per fold.
        quiet: Show only warnings.
    """

    def __init__(self, folds: int, epochs: int, *, quiet: bool = False) -> None:
        self.epochs, self.quiet = epochs, quiet
        self.has_bars = sys.stderr.isatty() and not quiet
        self.next_line_s = time.monotonic() + LINE_INTERVAL_S
        self.whole = self._new_count("all folds", folds * epochs)
        self.folds: dict[int, Count] = {}
        self.is_one_done = False  # a fold that this process trained

    def _new_count(self, name: str, total: int) -> Count:
        """A count from zero, with a bar if the terminal shows bars."""
        bar = tqdm(
            total=total,
            desc=name,
            leave=name == "all folds",
            bar_format=BAR,
            dynamic_ncols=True,
            file=sys.stderr if self.has_bars else io.StringIO(),
        )
        return Count(bar, since_s=time.monotonic())

    def __call__(self, event: dict[str, Any]) -> None:
        """Show one event."""
        number = event.get("fold")
        if "warning" in event:
            prefix = "" if number is None else f"fold {number}: "
            tqdm.write(f"{prefix}{event['warning']}", file=sys.stderr)
        if "epoch" in event:
            self._count_epoch(event)
        if "stage" in event:
            self._show_stage(event["fold"], event["stage"])

    def _count_epoch(self, event: dict[str, Any]) -> None:
        """Count an epoch, for its fold and for all."""
        is_first = event["fold"] not in self.folds  # when it began is not known
        fold = self._count_of(event["fold"], done=event["epoch"])
        new = event["epoch"] + 1 - fold.done
        scores = [f"{WORDS[k]} {v:.3f}" for k, v in event.items() if k in WORDS]
        fold.add(new, is_timed=not is_first)
        self.whole.add(new, is_timed=True)
        fold.estimate(fold.each_s)
        self._estimate_whole(fold)
        fold.bar.set_postfix_str(", ".join([fold.left, *scores]))
        self.whole.bar.set_postfix_str(self.whole.left)
        if not self.has_bars and not self.quiet:
            self._write_line(
                ", ".join([str(fold), *scores]), is_last=fold.done == self.epochs
            )

    def _estimate_whole(self, fold: Count) -> None:
        """Before a fold is done: by its epochs after the first, which takes longer.

        Afterwards: by all the time that passed, because folds also start and export.
        """
        if self.is_one_done:
            self.whole.estimate(self.whole.each_s)
        elif fold.each_s is not None:
            running = sum(count.done < self.epochs for count in self.folds.values())
            self.whole.estimate(fold.each_s / max(running, 1))

    def _count_of(self, number: int, done: int) -> Count:
        """A fold's count; a new one starts with the epochs of an earlier run."""
        if number not in self.folds:
            self.folds[number] = self._new_count(f"fold {number}", self.epochs)
            for count in (self.folds[number], self.whole):
                count.add(done, is_timed=False)
        return self.folds[number]

    def _show_stage(self, number: int, stage: str) -> None:
        """Show what is done after the last epoch; the fold may be an older one."""
        fold = self._count_of(number, done=self.epochs)
        fold.bar.set_postfix_str(stage)
        if not self.has_bars and not self.quiet:
            print(f"fold {number}: {stage}", file=sys.stderr, flush=True)
        if stage == "done":
            self.is_one_done = self.is_one_done or fold.timed > 0
            self.folds.pop(number).bar.close()
            self.whole.bar.refresh()

    def _write_line(self, text: str, *, is_last: bool) -> None:
        """Print a line on a fold and on all, at intervals and at a fold's end."""
        if is_last or time.monotonic() >= self.next_line_s:
            self.next_line_s = time.monotonic() + LINE_INTERVAL_S
            print(f"{text}; {self.whole}", file=sys.stderr, flush=True)

    def __enter__(self) -> "RunProgress":
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal clean."""
        for count in [*self.folds.values(), self.whole]:
            count.bar.close()
