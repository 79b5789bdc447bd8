"""How a corpus is split into folds, and what the test sets share with training."""
